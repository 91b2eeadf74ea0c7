"""Shows progress on stderr: bars on a terminal, lines elsewhere, JSON or nothing on request.

A piece of work that takes long tells how far it is every few seconds, also in a log.
"""

import sys
import time
from typing import TYPE_CHECKING

from mealkit.cli.output import has_colour, json_text, print_problem, printable_line, say
from mealkit.errors import Problem
from mealkit.progress import Progress, Silent, SilentTask, Task

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_SECONDS = 5.0
"""The shortest time between two lines about the same piece of work."""
BYTES = "bytes"


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
    """Shows warnings, and now and then how far a long piece of work is, each as a line of JSON."""

    def notice(self, problem: Problem) -> None:
        """Show a warning."""
        _say_json({"warning": problem.as_json()})

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Start to count."""
        return _JsonTask(_Work(title, total_bytes, BYTES))

    def count(self, title: str, total: int, things: str) -> Task:
        """Start to count."""
        return _JsonTask(_Work(title, total, things))


class _Work:
    """How much of a piece of work is done, and whether it is time to say so."""

    def __init__(self, title: str, total: int | None, things: str) -> None:
        self.title = title
        self.total = total
        self.things = things
        self.done = 0
        self._started = time.monotonic()
        self._told = self._started

    def advance(self, done: int) -> bool:
        """Count; return whether a line about it is due."""
        self.done += done
        now = time.monotonic()
        is_due = now - self._told >= LINE_SECONDS
        if is_due:
            self._told = now
        return is_due

    @property
    def seconds(self) -> float:
        """The time since it began."""
        return time.monotonic() - self._started

    @property
    def so_far(self) -> str:
        """What is done, of how much, for people."""
        if self.total is None:
            return self._amount(self.done)
        share = f" ({min(100, 100 * self.done // self.total)} %)" if self.total else ""
        done = _show(self.done) if self.things == BYTES else f"{self.done:,}"
        return f"{done} of {self._amount(self.total)}{share}"

    @property
    def result(self) -> str:
        """What was done, for people; empty if nothing was counted."""
        return f"{self._amount(self.done)}, " if self.done else ""

    def _amount(self, count: int) -> str:
        return _show(count) if self.things == BYTES else f"{count:,} {self.things}"


class _JsonTask(SilentTask):
    """Writes a line now and then."""

    def __init__(self, work: _Work) -> None:
        self._work = work

    def advance(self, done_bytes: int) -> None:
        """Count, and write a line if one is due."""
        work = self._work
        if work.advance(done_bytes):
            form = {"title": work.title, "done": work.done, "total": work.total}
            _say_json({"progress": {**form, "unit": work.things}})


class _LineTask:
    """Writes a line now and then, and one when the work has ended."""

    def __init__(self, work: _Work) -> None:
        self._work = work

    def advance(self, done_bytes: int) -> None:
        """Count, and write a line if one is due."""
        if self._work.advance(done_bytes):
            say(f"{self._work.title}: {self._work.so_far} after {self._work.seconds:.0f} s")

    def done(self, note: str = "") -> None:
        """Write a line with what was done and the duration."""
        say(_ended(self._work, note))


class Lines(Quiet):
    """Writes a line for each phase and each piece of work that has ended, and some in between."""

    def phase(self, title: str) -> None:
        """Write the title."""
        say(title)

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Start to count."""
        return _LineTask(_Work(title, total_bytes, BYTES))

    def count(self, title: str, total: int, things: str) -> Task:
        """Start to count."""
        return _LineTask(_Work(title, total, things))


class _BarTask:
    """A bar; leaves one line when the work has ended."""

    def __init__(self, bars: "Bars", work: _Work) -> None:
        self._bars = bars
        self._work = work
        title = printable_line(work.title)
        self.identity = bars.progress.add_task(title, total=work.total, amount=work.so_far)

    def advance(self, done_bytes: int) -> None:
        """Move the bar."""
        self._work.advance(done_bytes)
        bars = self._bars.progress
        bars.update(self.identity, completed=self._work.done, amount=self._work.so_far)

    def done(self, note: str = "") -> None:
        """Replace the bar by a line."""
        self._bars.end(self.identity)
        say(_ended(self._work, note))


class Bars(Lines):
    """Draws bars for running work; they disappear when it is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        # One rule decides about colours, here as in the other output.
        console = Console(stderr=True, no_color=not has_colour(sys.stderr))
        self.progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._running: set[TaskID] = set()

    def task(self, title: str, total_bytes: int | None) -> Task:
        """Draw a bar."""
        return self._bar(_Work(title, total_bytes, BYTES))

    def count(self, title: str, total: int, things: str) -> Task:
        """Draw a bar."""
        return self._bar(_Work(title, total, things))

    def _bar(self, work: _Work) -> Task:
        if not self._running:
            self.progress.start()
        task = _BarTask(self, work)
        self._running.add(task.identity)
        return task

    def end(self, identity: "TaskID") -> None:
        """Remove a bar; after the last one, stop drawing."""
        self.progress.remove_task(identity)
        self._running.discard(identity)
        if not self._running:
            self.progress.stop()


def _ended(work: _Work, note: str) -> str:
    return f"{work.title}: {work.result}{work.seconds:.1f} s{f' ({note})' if note else ''}"


def _say_json(form: dict[str, object]) -> None:
    sys.stderr.write(json_text(form) + "\n")
    sys.stderr.flush()


def _show(size_bytes: int) -> str:
    from mealkit.units import show_size

    return show_size(size_bytes)
