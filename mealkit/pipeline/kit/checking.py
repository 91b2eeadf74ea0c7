"""Checks a kit: everything that is wrong with it, and whether its lock says what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import Problem
from mealkit.pipeline.kit.opened_kit import open_kit


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A valid kit: its name, what should be known of it, and whether its lock is fresh.

    ``stale`` names what the kit says that its lock does not; None: it has no lock.
    """

    name: str
    version: str
    warnings: tuple[Problem, ...]
    stale: tuple[str, ...] | None


def check_kit(path: str | Path, allowed: Sequence[Path] = ()) -> CheckReport:
    """Check a kit and every file of its folder; nothing is asked of the network.

    Besides its own folder it may use those in ``allowed``.

    Raises:
        KitError: everything that is wrong, at once.
        LockError: its lock cannot be read.
    """
    kit = open_kit(path, allowed)
    stale = tuple(change.path for change in kit.drift) if kit.lock else None
    about = kit.parts.kit
    return CheckReport(about.name, about.version, kit.warnings, stale)
