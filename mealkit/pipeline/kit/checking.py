"""Checks a kit: reports all its problems at once, and whether its lock matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import Problem
from mealkit.pipeline.kit.opened_kit import open_kit


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A valid kit: its name, its warnings, and whether its lock is up to date.

    ``stale`` names the parts in which the kit differs from its lock; None if it has no lock.
    """

    name: str
    version: str
    warnings: tuple[Problem, ...]
    stale: tuple[str, ...] | None


def check_kit(path: str | Path, allowed: Sequence[Path] = ()) -> CheckReport:
    """Check a kit and every file in its folder, without the network.

    The kit may use its own folder and those in ``allowed``.

    Raises:
        KitError: all problems of the kit at once.
        LockError: its lock cannot be read.
    """
    kit = open_kit(path, allowed)
    stale = tuple(change.path for change in kit.drift) if kit.lock else None
    about = kit.parts.kit
    return CheckReport(about.name, about.version, kit.warnings, stale)
