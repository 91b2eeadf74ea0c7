"""The interface for progress reports; the command line draws them, and tests collect them.

A command creates one `Progress` and passes it down. A step that processes bytes gets a `Task`.
"""

from collections.abc import Callable
from typing import Protocol

from mealkit.errors import Problem

Advance = Callable[[int], None]
"""A task's ``advance``, for code that only reports bytes."""


class Task(Protocol):
    """A piece of work whose progress is counted in bytes."""

    def advance(self, done_bytes: int) -> None:
        """Report that more bytes are done; a negative number if some must be repeated."""
        ...

    def done(self, note: str = "") -> None:
        """Report that the work has ended."""
        ...


class Progress(Protocol):
    """Receives reports about a command while it works."""

    def phase(self, title: str) -> None:
        """Report the start of a new phase."""
        ...

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Report the start of a piece of work, and return its task."""
        ...

    def count(self, title: str, total: int, things: str) -> Task:
        """Report the start of a piece of work on a number of things, and return its task.

        The task's ``advance`` gets numbers of things instead of bytes. ``things`` is their plural.
        """
        ...

    def notice(self, problem: Problem) -> None:
        """Report a problem that does not stop the work."""
        ...


class SilentTask:
    """A task that reports nothing."""

    def advance(self, done_bytes: int) -> None:
        """Do nothing."""

    def done(self, note: str = "") -> None:
        """Do nothing."""


class Silent:
    """A progress that reports nothing."""

    def phase(self, title: str) -> None:
        """Do nothing."""

    def task(self, title: str, total_bytes: int | None) -> Task:  # noqa: ARG002
        """Return a task that reports nothing."""
        return SILENT_TASK

    def count(self, title: str, total: int, things: str) -> Task:  # noqa: ARG002
        """Return a task that reports nothing."""
        return SILENT_TASK

    def notice(self, problem: Problem) -> None:
        """Do nothing."""


SILENT_TASK = SilentTask()
SILENT = Silent()
silent = SILENT_TASK.advance
