"""Reads a kit and everything in its folder that the lock depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit import __version__
from mealkit.digest import Digest
from mealkit.engines.registry import recipe_of
from mealkit.engines.typed_parts import check_engine_parts, engine_problems
from mealkit.errors import KitError, Problem, failure, failures
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.load import LoadedKit, load_kit
from mealkit.lock.resolve import KitParts
from mealkit.recipe.lock import LOCK_NAME, MAX_LOCK_BYTES, Lock, read_lock
from mealkit.runtime.gateway_packages import GATEWAY_BOUNDS, GATEWAY_REQUIREMENTS
from mealkit.untrusted import UntrustedError, read_file


@dataclass(frozen=True, slots=True)
class OpenKit:
    """A kit that passed every check, and its lock if it has one."""

    folder: Path
    parts: KitParts
    lock: Lock | None
    local_wheels: tuple[Path, ...]
    """The wheel files that the kit brings."""
    bounds: Bounds
    """The folders that the kit's files may lie in."""
    warnings: tuple[Problem, ...]

    @property
    def lock_path(self) -> Path:
        """Where the lock is, or will be."""
        return self.folder / LOCK_NAME


def open_kit(path: Path, allowed: Sequence[Path] = ()) -> OpenKit:
    """Read a kit, check all of it, and read its lock; it may use the ``allowed`` folders too.

    Raises:
        KitError: everything that is wrong with the kit, at once.
        LockError: the lock cannot be read (``LOCK_INVALID``).
    """
    loaded = load_kit(path, engine_problems, allowed=allowed)
    engine = check_engine_parts(loaded)
    kit = loaded.kit
    problems = [*engine.problems, *_prompt_problems(loaded)]
    if problems:
        raise failures(problems)
    parts = KitParts(
        kit=kit,
        recipe=recipe_of(kit.runtime.engine),
        task=engine.task,
        hyperparameters=engine.hyperparameters,
        settings=engine.settings,
        prompts=loaded.prompts,
        code=loaded.code,
        local_wheels=_local_wheels(loaded.wheels),
        gateway_requirements=GATEWAY_REQUIREMENTS,
        mealkit_version=__version__,
        gateway_bounds=GATEWAY_BOUNDS,
    )
    lock = lock_file(loaded.folder / LOCK_NAME, loaded.bounds)
    return OpenKit(loaded.folder, parts, lock, loaded.wheels, loaded.bounds, tuple(loaded.warnings))


def lock_file(path: Path, bounds: Bounds | None = None) -> Lock | None:
    """Read a lock; None if there is none. A kit's own must lie within the kit's ``bounds``.

    Raises:
        KitError: it is a link that leads outside (``KIT_PATH_OUTSIDE``).
        LockError: it is no lock (``LOCK_INVALID``).
        StoreError: it cannot be read (``DISK_DENIED``).
    """
    try:
        if bounds is None:
            data = read_file(path, MAX_LOCK_BYTES)
        else:
            data = bounds.read(path, MAX_LOCK_BYTES)
    except FileNotFoundError:
        return None
    except OutsideError as error:
        raise KitError(error.told(path.name, str(path))) from error
    except UntrustedError as error:
        raise failure("LOCK_INVALID", str(error), where=str(path)) from error
    except OSError as error:
        message = f"the lock cannot be read: {error.strerror}"
        raise failure("DISK_DENIED", message, where=str(path)) from error
    return read_lock(data, str(path))


def _prompt_problems(loaded: LoadedKit) -> list[Problem]:
    if not loaded.prompts:
        return []
    from mealkit.assembly.prompt_check import prompt_problems

    return prompt_problems(loaded.kit, loaded.prompts)


def _local_wheels(paths: Sequence[Path]) -> dict[str, Digest]:
    if not paths:
        return {}
    from mealkit.sources.local_wheels import local_wheels

    return {wheel.path.name: wheel.digest for wheel in local_wheels(paths)}
