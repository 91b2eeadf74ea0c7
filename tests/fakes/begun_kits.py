"""A new kit, written by a process that may be killed."""

from collections.abc import Callable
from pathlib import Path

from mealkit.importing.scaffold import write_new_kit


def write_kit(tick: Callable[..., int], folder: str) -> None:
    """Write the usual kit."""
    del tick
    write_new_kit(Path(folder), "python", {})
