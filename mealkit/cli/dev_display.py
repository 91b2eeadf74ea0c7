"""Shows what happens while a kit is edited: lines for people, or JSON lines for editors."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, assert_never

from mealkit.cli.changes import grouped_lines
from mealkit.cli.output import has_colour, json_text, print_line, print_problem, printable_line
from mealkit.errors import Problem

if TYPE_CHECKING:
    from mealkit.pipeline.develop.dev_events import (
        Answered,
        DevEvent,
        Printed,
        Raised,
        Ready,
        Saved,
        Step,
    )

_RED, _YELLOW, _GREEN, _DIM = "31;1", "33", "32", "2"


class DevDisplay:
    """Prints the events of ``mealkit dev`` to stdout, and problems to stderr."""

    def __init__(self, *, verbose: bool, as_json: bool) -> None:
        self._verbose = verbose
        self._as_json = as_json
        self._raised: str | None = None

    def tell(self, event: "DevEvent") -> None:
        """Print one event."""
        from mealkit.pipeline.develop.dev_events import event_json

        if self._as_json:
            sys.stdout.write(json_text(event_json(event)) + "\n")
        else:
            self._show(event)
        sys.stdout.flush()

    def _show(self, event: "DevEvent") -> None:
        from mealkit.pipeline.develop.dev_events import (
            Answered,
            Failed,
            Ready,
            Refused,
            Saved,
        )

        match event:
            case Ready():
                _show_ready(event)
            case Saved():
                self._raised = None
                _show_saved(event)
            case Refused(problems, is_answering):
                before = "the version before still answers; " if is_answering else ""
                _show_problems(problems, f"{before}save again")
            case Failed(problem, is_answering):
                then = "" if is_answering else "save again to start the next version"
                _show_problems(() if self._is_shown(problem) else (problem,), then)
            case Answered():
                _show_answered(event)
            case _:
                self._show_output(event)

    def _show_output(self, event: "Step | Raised | Printed") -> None:
        from mealkit.pipeline.develop.dev_events import Printed, Raised, Step

        match event:
            case Step(text):
                print_line(text)
            case Raised():
                self._show_raised(event)
            case Printed(line=line):
                _put(f"| {line}", _DIM)
            case _:
                assert_never(event)

    def _is_shown(self, problem: Problem) -> bool:
        """Return whether a problem says nothing beyond the exception that was just shown."""
        if problem.code != "HANDLER_FAILED" or self._raised is None:
            return False
        return problem.message.partition("\n")[0].endswith(self._raised)

    def _show_raised(self, event: "Raised") -> None:
        self._raised = event.error
        _put(event.error, _RED)
        for frame in event.frames:
            if frame.is_own or self._verbose:
                where = f" in {frame.function}" if frame.function else ""
                print_line(f"  {frame.file}:{frame.line}{where}")
                if frame.text:
                    _put(f"    {frame.text}", _DIM)


def _show_saved(event: "Saved") -> None:
    what = ", ".join(event.files) + " saved" if event.files else "the kit differs from kit.lock"
    _put(f"{what}; recipe {event.recipe[:19]}", _YELLOW)
    for line in grouped_lines(event.changes):
        print_line(f"  {line}")


def _show_problems(problems: Iterable[Problem], then: str) -> None:
    for problem in problems:
        print_problem(problem)
    if then:
        print_line(then)


def _show_ready(event: "Ready") -> None:
    _put(f"ready after {event.seconds:.1f} s at {event.url}", _GREEN)
    if event.is_first:
        print_line(f"  try    {event.example}")
        print_line(f"  page   {event.url}/docs")
        print_line("  edit the kit and save it; Ctrl-C ends")


def _show_answered(event: "Answered") -> None:
    took = "" if event.seconds is None else f" {event.seconds * 1000:.0f} ms"
    code = f" {event.code}" if event.code else ""
    line = f"{event.method} {event.path} {event.status}{took}{code}"
    colour = _RED if event.status >= 500 else _YELLOW if event.status >= 400 else _GREEN
    _put(line, colour)
    if event.message and event.status < 500:
        for text in event.message.split("\n"):
            print_line(f"  {text}")


def _put(text: str, colour: str) -> None:
    """Write one line, coloured on a terminal."""
    plain = printable_line(text)
    sys.stdout.write((f"\033[{colour}m{plain}\033[0m" if has_colour(sys.stdout) else plain) + "\n")
