"""Reads a kit and everything in its folder that the lock depends on."""

from dataclasses import dataclass
from pathlib import Path

from mealkit import __version__
from mealkit.digest import Digest
from mealkit.engines.check import check_engine_parts, engine_problems
from mealkit.engines.registry import recipe_of
from mealkit.errors import Problem, failure, failures
from mealkit.kit.load import LoadedKit, load_kit
from mealkit.lock.model import LOCK_NAME, MAX_LOCK_BYTES, Lock, read_lock
from mealkit.lock.resolve import KitParts
from mealkit.runtime.requirements import GATEWAY_REQUIREMENTS
from mealkit.untrusted import UntrustedError, read_file


@dataclass(frozen=True, slots=True)
class OpenKit:
    """A kit that passed every check, and its lock if it has one."""

    folder: Path
    parts: KitParts
    lock: Lock | None
    warnings: tuple[Problem, ...]

    @property
    def lock_path(self) -> Path:
        """Where the lock is, or will be."""
        return self.folder / LOCK_NAME

    @property
    def local_wheels(self) -> list[Path]:
        """The wheel files, and folders of them, that the kit brings."""
        return [self.folder / path for path in self.parts.kit.runtime.wheels]


def open_kit(path: Path) -> OpenKit:
    """Read a kit, check all of it, and read its lock.

    Raises:
        KitError: everything that is wrong with the kit, at once.
        LockError: the lock cannot be read (``LOCK_INVALID``).
    """
    loaded = load_kit(path, engine_problems)
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
        local_wheels=_local_wheels(loaded.folder, kit.runtime.wheels),
        gateway_requirements=GATEWAY_REQUIREMENTS,
        mealkit_version=__version__,
    )
    lock = lock_file(loaded.folder / LOCK_NAME)
    return OpenKit(loaded.folder, parts, lock, tuple(loaded.warnings))


def lock_file(path: Path) -> Lock | None:
    """Read a lock; None if there is none.

    Raises:
        LockError: it is no lock (``LOCK_INVALID``).
        StoreError: it cannot be read (``DISK_DENIED``).
    """
    try:
        data = read_file(path, MAX_LOCK_BYTES)
    except FileNotFoundError:
        return None
    except UntrustedError as error:
        raise failure(
            "LOCK_INVALID", f"the file is not a lock: {error}", where=str(path)
        ) from error
    except OSError as error:
        message = f"the lock cannot be read: {error.strerror}"
        raise failure("DISK_DENIED", message, where=str(path)) from error
    return read_lock(data, str(path))


def _prompt_problems(loaded: LoadedKit) -> list[Problem]:
    if not loaded.prompts:
        return []
    from mealkit.build.prompts import prompt_problems

    return prompt_problems(loaded.kit, loaded.prompts)


def _local_wheels(folder: Path, paths: tuple[str, ...]) -> dict[str, Digest]:
    if not paths:
        return {}
    from mealkit.sources.local_wheels import local_wheels

    found = local_wheels([folder / path for path in paths])
    return {wheel.path.name: wheel.digest for wheel in found}
