"""Shows progress on stderr: bars on a terminal, lines elsewhere, JSON or nothing on request."""

import sys
import time
from typing import TYPE_CHECKING

from mealkit.cli.output import has_colour, json_text, print_problem, printable_line, say
from mealkit.errors import Problem
from mealkit.progress import Progress, Silent, Task

if TYPE_CHECKING:
    from rich.progress import TaskID


def display_for(*, quiet: bool, as_json: bool) -> Progress:
    """Return the progress display for stderr: bars on a terminal, lines elsewhere."""
    if as_json:
        return JsonLines()
    if quiet:
        return Quiet()
    if sys.stderr.isatty():
        return Bars()
    return Lines()


class Quiet(Silent):
    """Shows only warnings."""

    def notice(self, problem: Problem) -> None:
        """Show a warning."""
        print_problem(problem, warning=True)


class JsonLines(Quiet):
    """Shows only warnings, each as a line of JSON."""

    def notice(self, problem: Problem) -> None:
        """Show a warning."""
        sys.stderr.write(json_text({"warning": problem.as_json()}) + "\n")


class _LineTask:
    """Writes a line when the work has ended."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._done_bytes = 0

    def advance(self, done_bytes: int) -> None:
        """Count the bytes."""
        self._done_bytes += done_bytes

    def done(self, note: str = "") -> None:
        """Write a line with the size and the duration."""
        seconds = time.monotonic() - self._started
        size = f"{_show(self._done_bytes)}, " if self._done_bytes else ""
        say(f"{self._title}: {size}{seconds:.1f} s{f' ({note})' if note else ''}")


class Lines(Quiet):
    """Writes a line for each phase and for each piece of work that has ended."""

    def phase(self, title: str) -> None:
        """Write the title."""
        say(title)

    def task(self, title: str, total_bytes: int | None) -> Task:  # noqa: ARG002
        """Start to count."""
        return _LineTask(title)


class _BarTask:
    """A bar; leaves one line when the work has ended."""

    def __init__(self, bars: "Bars", title: str, total_bytes: int | None) -> None:
        self._bars = bars
        self._line = _LineTask(title)
        self.identity = bars.progress.add_task(printable_line(title), total=total_bytes)

    def advance(self, done_bytes: int) -> None:
        """Move the bar."""
        self._line.advance(done_bytes)
        self._bars.progress.advance(self.identity, done_bytes)

    def done(self, note: str = "") -> None:
        """Replace the bar by a line."""
        self._bars.end(self.identity)
        self._line.done(note)


class Bars(Lines):
    """Draws bars for running work; they disappear when it is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        # One rule decides about colours, here as in the other output.
        console = Console(stderr=True, no_color=not has_colour(sys.stderr))
        self.progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._running: set[TaskID] = set()

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Draw a bar."""
        if not self._running:
            self.progress.start()
        task = _BarTask(self, title, total_bytes)
        self._running.add(task.identity)
        return task

    def end(self, identity: "TaskID") -> None:
        """Remove a bar; after the last one, stop drawing."""
        self.progress.remove_task(identity)
        self._running.discard(identity)
        if not self._running:
            self.progress.stop()


def _show(size_bytes: int) -> str:
    from mealkit.units import show_size

    return show_size(size_bytes)
