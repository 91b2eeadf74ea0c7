"""Creates a kit's lock, updates it where the kit changed, or only compares it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import Problem, failure, failures
from mealkit.files.whole import write_whole
from mealkit.lock.compare import Change, compare_locks, without_restatements
from mealkit.lock.resolve import Upgrade, resolve
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.code_syntax import syntax_findings
from mealkit.pipeline.kit.import_checks import import_warnings
from mealkit.pipeline.kit.needed_weights import needed_problems
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.kit.resolving_inputs import KitInputs
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock, lock_bytes


@dataclass(frozen=True, slots=True)
class LockReport:
    """The result of locking: the path of the lock, its digests, and the changes in it."""

    path: Path
    recipe: Digest
    salt: Digest
    changes: tuple[Change, ...]
    created: bool


def lock_kit(
    path: str | Path,
    *,
    upgrade: frozenset[Upgrade],
    home: Home,
    progress: Progress,
    allowed: Sequence[Path] = (),
) -> LockReport:
    """Bring a kit's lock up to date, and write it if anything changed.

    Raises:
        KitError, LockError, SourceError: the kit is wrong, or an input cannot be resolved.
    """
    kit = open_kit(path, home, allowed, progress)
    for warning in kit.warnings:
        progress.notice(warning)
    return _locked(kit, upgrade, home, progress)[1]


@dataclass(frozen=True, slots=True)
class LockCheck:
    """The differences between a kit and its lock, and the problem if there are any."""

    changes: tuple[Change, ...]
    stale: Problem | None


def check_lock(
    path: str | Path, home: Home, allowed: Sequence[Path] = (), progress: Progress = SILENT
) -> LockCheck:
    """Compare a kit and its lock, without the network.

    Raises:
        LockError: the kit has no lock (``LOCK_MISSING``).
    """
    kit = open_kit(path, home, allowed, progress)
    if kit.lock is None:
        raise failure("LOCK_MISSING", "the kit has no lock", where=str(kit.lock_path))
    return LockCheck(tuple(kit.drift), kit.stale() if kit.drift else None)


def fresh_lock(kit: OpenedKit, *, frozen: bool, home: Home, progress: Progress) -> Lock:
    """Return a kit's lock, brought up to date first unless it is frozen.

    Raises:
        LockError: the lock is frozen, and missing or stale (``LOCK_MISSING``, ``LOCK_STALE``).
    """
    if kit.lock is not None:
        if not kit.drift:
            return kit.lock
        if frozen:
            raise failures([kit.stale()])
        how = "without the network" if kit.is_resolved else "from its sources"
        progress.phase(f"{kit.lock_path.name} is updated, {how}: {kit.stale().message}")
    elif frozen:
        raise failure("LOCK_MISSING", "the kit has no lock", where=str(kit.lock_path))
    return _locked(kit, frozenset(), home, progress)[0]


def _locked(
    kit: OpenedKit, upgrade: frozenset[Upgrade], home: Home, progress: Progress
) -> tuple[Lock, LockReport]:
    code = syntax_findings(kit.parts.code, kit.parts.kit.runtime.python)
    if code.problems:
        raise failures([*code.problems])
    for warning in (*code.warnings, *needed_problems(kit, home)):
        progress.notice(warning)
    lock = resolve(kit.parts, KitInputs(kit, home, progress), kit.lock, upgrade)
    for warning in import_warnings(kit, lock):
        progress.notice(warning)
    if lock.claims or lock.cases:
        from mealkit.pipeline.kit.first_rows import require_testable

        require_testable(kit, lock, home)
    if lock.system_prompt is not None:
        from mealkit.pipeline.kit.system_role import require_system_role

        require_system_role(kit, lock, home)
    changes = tuple(without_restatements(compare_locks(kit.lock, lock))) if kit.lock else ()
    if lock != kit.lock:
        write_whole(kit.lock_path, lock_bytes(lock), mode=0o644)
    return lock, LockReport(
        kit.lock_path, lock.recipe, lock.salt, changes, created=kit.lock is None
    )
