"""What the pipeline tells whoever watches it. The command line draws it; tests collect it."""

from typing import Protocol

from mealkit.errors import Problem


class Task(Protocol):
    """A piece of work whose progress is counted in bytes."""

    def advance(self, done_bytes: int) -> None:
        """Say that more bytes are done."""
        ...

    def done(self, note: str = "") -> None:
        """Say that the work has ended."""
        ...


class Listener(Protocol):
    """Who hears of progress."""

    def phase(self, title: str) -> None:
        """Hear that a new phase begins."""
        ...

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Hear that a piece of work begins."""
        ...

    def notice(self, problem: Problem) -> None:
        """Hear of something that does not stop the work."""
        ...


class _SilentTask:
    def advance(self, done_bytes: int) -> None: ...

    def done(self, note: str = "") -> None: ...


class Silent:
    """A listener that does nothing."""

    def phase(self, title: str) -> None:
        """Ignore it."""

    def task(self, title: str, total_bytes: int | None) -> Task:  # noqa: ARG002
        """Ignore it."""
        return _SilentTask()

    def notice(self, problem: Problem) -> None:
        """Ignore it."""


SILENT = Silent()
