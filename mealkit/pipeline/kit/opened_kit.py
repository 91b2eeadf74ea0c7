"""Opens a kit: reads and checks it with everything in its folder that its lock depends on.

A command opens a kit once, and passes the opened kit on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mealkit import __version__
from mealkit.digest import Digest
from mealkit.engines.engine import Recipe
from mealkit.engines.registry import recipe_of
from mealkit.engines.typed_parts import EngineParts, check_engine_parts, engine_problems
from mealkit.errors import KitError, Problem, failure, failures, problem
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.document import Document
from mealkit.kit.document import Path as FieldPath
from mealkit.kit.files import image_path
from mealkit.kit.load import LoadedKit, load_kit
from mealkit.lock.claim_check import claim_problems
from mealkit.lock.compare import Change
from mealkit.lock.contract_check import contract_problems, contract_warnings
from mealkit.lock.drift import drift, needs_network
from mealkit.lock.hardware_check import hardware_problems
from mealkit.lock.kit_parts import KitParts
from mealkit.lock.operations_check import operations_problems
from mealkit.lock.resolve import offline_lock, requests_of
from mealkit.lock.resolved_datasets import CurrentDatasets, dataset_requests
from mealkit.lock.resolved_weights import CurrentWeights
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import KitFolder, LockFile, kit_named
from mealkit.progress import SILENT, SILENT_TASK, Progress
from mealkit.recipe.lock import LOCK_NAME, MAX_LOCK_BYTES, Lock, read_lock
from mealkit.runtime.gateway_packages import GATEWAY_BOUNDS, gateway_requirements
from mealkit.untrusted import UntrustedError, read_file

# A message names this many differences; the rest are counted.
_SHOWN = 6
# The inputs that may be on this machine.
_LOCAL = ("model.files.", "datasets.", "runtime.base")
# Hashing less takes a moment, which needs no display.
_LARGE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)  # without slots, because `drift` is cached
class OpenedKit:
    """A kit that passed every check, and its lock if it has one."""

    folder: Path
    parts: KitParts
    lock: Lock | None
    local_wheels: tuple[Path, ...]
    """The wheel files that the kit brings."""
    bounds: Bounds
    """The folders that may contain the kit's files."""
    warnings: tuple[Problem, ...]
    where: Callable[[FieldPath], str]
    """Returns ``kit.yaml:LINE`` for the path of a value."""

    @property
    def lock_path(self) -> Path:
        """Where the lock is, or will be."""
        return self.folder / LOCK_NAME

    @cached_property
    def drift(self) -> list[Change]:
        """The differences between the kit and its lock; empty without a lock."""
        return drift(self.parts, self.lock) if self.lock else []

    @property
    def is_resolved(self) -> bool:
        """Whether the lock has every input that the kit requires now."""
        return self.lock is not None and not needs_network(self.drift)

    def lock_as_written(self) -> Lock:
        """Return the lock that the kit would have now, without resolving anything.

        Raises:
            LockError: ``LOCK_MISSING``, or ``LOCK_STALE`` if an input must be resolved again.
        """
        lock = self.lock_as_far_as_known()
        if not self.is_resolved:
            raise failures([self.stale()])
        return lock

    def lock_as_far_as_known(self) -> Lock:
        """Return the lock of the kit as it is now; what must be resolved again is as it was.

        Raises:
            LockError: ``LOCK_MISSING``.
        """
        if self.lock is None:
            raise failure(
                "LOCK_MISSING",
                "the kit has no lock, which states its requirements",
                where=str(self.lock_path),
                hint=f"mealkit lock {self.folder}",
            )
        return offline_lock(self.parts, self.lock) if self.drift else self.lock

    def stale(self) -> Problem:
        """Return the problem ``LOCK_STALE``, with the differences."""
        # The files first: a change of one is also a change of sizes and requirements.
        changes = sorted(self.drift, key=lambda change: not change.path.startswith(_LOCAL))
        names = [_named(change) for change in changes]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        message = f"the kit differs from its lock: {', '.join(names[:_SHOWN])}{more}"
        hint = f"mealkit lock {self.folder}"
        return problem("LOCK_STALE", message, where=str(self.lock_path), hint=hint)


def _named(change: Change) -> str:
    """Return the path of a change; of a local input, with both digests."""
    path, _, last = change.path.rpartition(".")
    if last not in {"sha256", "digest"} or not path.startswith(_LOCAL):
        return change.path
    return f"{path} (locked {change.before}, now {change.after or 'missing'})"


def open_kit(
    kit: str | Path | KitFolder,
    home: Home,
    allowed: Sequence[Path] = (),
    progress: Progress = SILENT,
    check: Callable[[Document], list[Problem]] = engine_problems,
) -> OpenedKit:
    """Read a kit, check all of it, and read its lock; it may use the ``allowed`` folders too.

    Files of folder sources are compared with the lock. The digests are in the ``home``'s cache, so
    a file that did not change is not read again. ``check`` returns further problems of kit.yaml.

    Raises:
        KitError: all problems of the kit at once, or the path is not a kit.
        LockError: the lock cannot be read (``LOCK_INVALID``).
        SourceError: a local file changed to something that a lock cannot contain.
    """
    named = kit if isinstance(kit, KitFolder) else kit_named(str(kit))
    loaded = load_kit(named.path, check, allowed=allowed)
    engine = check_engine_parts(loaded)
    recipe = recipe_of(loaded.kit.runtime.engine)
    problems = [
        *engine.problems,
        *_prompt_problems(loaded, engine, recipe),
        *claim_problems(loaded.kit, engine.task, loaded.where),
        *contract_problems(loaded.kit, engine.task, loaded.where),
        *operations_problems(loaded.kit, engine.task, loaded.where),
        *hardware_problems(loaded.kit, loaded.where),
    ]
    if problems:
        raise failures(problems)
    features = recipe.features(engine.task, engine.hyperparameters, engine.settings)
    parts = KitParts(
        kit=loaded.kit,
        recipe=recipe,
        task=engine.task,
        hyperparameters=engine.hyperparameters,
        settings=engine.settings,
        prompts=loaded.prompts,
        code=loaded.code,
        local_wheels=_local_wheels(loaded.wheels),
        gateway_requirements=gateway_requirements(loaded.kit),
        mealkit_version=__version__,
        gateway_bounds=GATEWAY_BOUNDS,
        signers=loaded.signers,
        case_files=loaded.case_files,
        profile=loaded.profile,
    )
    lock = _lock_file(loaded.folder / LOCK_NAME, loaded.bounds)
    unchecked = contract_warnings(loaded.kit, features, loaded.where)
    warnings = (*loaded.warnings, *engine.warnings, *unchecked)
    opened = OpenedKit(
        loaded.folder, parts, lock, loaded.wheels, loaded.bounds, warnings, loaded.where
    )
    return opened if lock is None else _as_it_is_now(opened, lock, home, progress)


def _as_it_is_now(kit: OpenedKit, lock: Lock, home: Home, progress: Progress) -> OpenedKit:
    """Return a kit with the local inputs that differ from its lock."""
    parts, asked = kit.parts, requests_of(kit.parts.variants()[0])
    if asked.weights == lock.requests.weights:  # else all weights are resolved again
        current = _current_weights(kit, lock, home, progress)
        parts = replace(parts, current=current)
    parts = replace(parts, current_datasets=_current_datasets(kit, lock, home, progress))
    base = parts.kit.runtime.base
    if base.source == "image" and image_path(base.reference) and asked.base == lock.requests.base:
        from mealkit.pipeline.kit.bases import changed_bases

        bases = changed_bases(base, kit.folder, kit.bounds, lock)
        parts = replace(parts, current_bases=bases)
    return replace(kit, parts=parts)


def _current_weights(
    kit: OpenedKit, lock: Lock, home: Home, progress: Progress
) -> CurrentWeights | None:
    """Return the weights, if local files differ from the lock."""
    whole = kit.parts.kit
    if not any(entry.source == "folder" for entry in whole.model.weights):
        return None
    from mealkit.pipeline.kit.supplies import open_supplies
    from mealkit.sources.folder_changes import changed_weights

    large = lock.requirements.weights_bytes > _LARGE_BYTES
    task = progress.task("comparing local files", None) if large else SILENT_TASK
    with open_supplies(whole, kit.folder, kit.bounds, home, task) as supplies:
        current = changed_weights(kit.folder, whole.model, lock.model, supplies)
    task.done()
    return current


def _current_datasets(
    kit: OpenedKit, lock: Lock, home: Home, progress: Progress
) -> CurrentDatasets:
    """Return the data sets whose local files differ from the lock; others are resolved again."""
    whole, asked = kit.parts.kit, dataset_requests(kit.parts.kit)
    entries = {
        name: entry
        for name, entry in whole.datasets.items()
        if entry.source == "folder"
        and name in lock.datasets
        and lock.requests.datasets.get(name) == asked[name]
    }
    if not entries:
        return CurrentDatasets()
    from mealkit.pipeline.kit.supplies import open_dataset_supplies
    from mealkit.sources.dataset_files import changed_datasets

    size = sum(file.size_bytes for name in entries for file in lock.datasets[name].files)
    is_large = size > _LARGE_BYTES
    task = progress.task("comparing local data", None) if is_large else SILENT_TASK
    with open_dataset_supplies(whole, kit.bounds, home, task) as supplies:
        current = changed_datasets(kit.folder, entries, lock.datasets, supplies)
    task.done()
    return current


def _lock_file(path: Path, bounds: Bounds | None = None) -> Lock | None:
    """Read a lock; return None if the file is missing. A kit's own must be within its ``bounds``.

    Raises:
        KitError: the file is a link to a place outside the bounds (``KIT_PATH_OUTSIDE``).
        LockError: the file is not a valid lock (``LOCK_INVALID``).
        StoreError: the file cannot be read (``DISK_DENIED``).
    """
    try:
        if bounds is None:
            data = read_file(path, MAX_LOCK_BYTES)
        else:
            data = bounds.read(path, MAX_LOCK_BYTES)
    except FileNotFoundError:
        return None
    except OutsideError as error:
        raise KitError(error.as_problem(path.name, str(path))) from error
    except UntrustedError as error:
        raise failure("LOCK_INVALID", str(error), where=str(path)) from error
    except OSError as error:
        message = f"the lock cannot be read: {error.strerror}"
        raise failure("DISK_DENIED", message, where=str(path)) from error
    return read_lock(data, str(path))


def lock_at(file: LockFile) -> Lock:
    """Read a lock that is a target of its own.

    Raises:
        LockError: the file is not a valid lock (``LOCK_INVALID``), or was deleted in the meantime
            (``LOCK_MISSING``).
        StoreError: the file cannot be read (``DISK_DENIED``).
    """
    lock = _lock_file(file.path)
    if lock is None:
        raise failure("LOCK_MISSING", f"there is no {file.text}", where=file.text)
    return lock


def _prompt_problems(loaded: LoadedKit, engine: EngineParts, recipe: Recipe) -> list[Problem]:
    kit = loaded.kit
    found: list[Problem] = []
    if loaded.prompts:
        from mealkit.assembly.prompt_check import prompt_problems

        found += prompt_problems(kit, loaded.prompts)
    if kit.system_prompt and not engine.problems:
        from mealkit.assembly.system_prompt_check import system_prompt_problems

        features = recipe.features(engine.task, engine.hyperparameters, engine.settings)
        found += system_prompt_problems(kit, engine.task, features, loaded.prompts, loaded.where)
    return found


def _local_wheels(paths: Sequence[Path]) -> dict[str, Digest]:
    if not paths:
        return {}
    from mealkit.sources.local_wheels import local_wheels

    return {wheel.path.name: wheel.digest for wheel in local_wheels(paths)}
