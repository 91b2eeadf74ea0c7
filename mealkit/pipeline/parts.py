"""Reads a kit and everything in its folder that the lock depends on."""

from dataclasses import dataclass
from pathlib import Path

from mealkit import __version__
from mealkit.digest import Digest
from mealkit.engines.check import check_engine_parts
from mealkit.engines.registry import recipe_of
from mealkit.errors import Problem, failures
from mealkit.kit.load import load_kit
from mealkit.lock.model import LOCK_NAME, Lock, read_lock
from mealkit.lock.resolve import KitParts
from mealkit.runtime.requirements import GATEWAY_REQUIREMENTS


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
    loaded = load_kit(path)
    engine = check_engine_parts(loaded)
    kit = loaded.kit
    if engine.problems:
        raise failures(list(engine.problems))
    parts = KitParts(
        kit=kit,
        recipe=recipe_of(kit.runtime.engine),
        task=engine.task,
        hyperparameters=engine.hyperparameters,
        settings=engine.settings,
        prompts=loaded.prompts,
        local_wheels=_local_wheels(loaded.folder, kit.runtime.wheels),
        gateway_requirements=GATEWAY_REQUIREMENTS,
        mealkit_version=__version__,
    )
    lock_path = loaded.folder / LOCK_NAME
    lock = read_lock(lock_path.read_bytes(), str(lock_path)) if lock_path.exists() else None
    return OpenKit(loaded.folder, parts, lock, tuple(loaded.warnings))


def _local_wheels(folder: Path, paths: tuple[str, ...]) -> dict[str, Digest]:
    if not paths:
        return {}
    from mealkit.sources.local_wheels import local_wheels

    found = local_wheels([folder / path for path in paths])
    return {wheel.path.name: wheel.digest for wheel in found}
