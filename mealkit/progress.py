"""Progress: what a long step tells of itself. The command line draws it; tests collect it.

A command makes one `Progress` and hands it down. A step that works through bytes gets a `Task`.
"""

from collections.abc import Callable
from typing import Protocol

from mealkit.errors import Problem

Advance = Callable[[int], None]
"""A task's ``advance``, for what tells of bytes and of nothing else."""


class Task(Protocol):
    """A piece of work whose progress is counted in bytes."""

    def advance(self, done_bytes: int) -> None:
        """Say that more bytes are done; fewer than none if some have to be done again."""
        ...

    def done(self, note: str = "") -> None:
        """Say that the work has ended."""
        ...


class Progress(Protocol):
    """What is told of a command while it works."""

    def phase(self, title: str) -> None:
        """Say that a new phase begins."""
        ...

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Say that a piece of work begins."""
        ...

    def notice(self, problem: Problem) -> None:
        """Tell of a problem that does not stop the work."""
        ...


class SilentTask:
    """A task that tells nothing."""

    def advance(self, done_bytes: int) -> None:
        """Tell nothing."""

    def done(self, note: str = "") -> None:
        """Tell nothing."""


class Silent:
    """A progress that tells nothing."""

    def phase(self, title: str) -> None:
        """Tell nothing."""

    def task(self, title: str, total_bytes: int | None) -> Task:  # noqa: ARG002
        """Return a task that tells nothing."""
        return SILENT_TASK

    def notice(self, problem: Problem) -> None:
        """Tell nothing."""


SILENT_TASK = SilentTask()
SILENT = Silent()
silent = SILENT_TASK.advance
