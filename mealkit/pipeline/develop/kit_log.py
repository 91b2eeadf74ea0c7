"""Reads the log of a kit that is edited: its requests, exceptions and printed lines, as events.

The kit writes part of the log, so a line that has another form than expected is only a printed one.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from mealkit.errors import problem_of_json
from mealkit.paths import CODE
from mealkit.pipeline.develop.dev_events import (
    Answered,
    DevEvent,
    Failed,
    Frame,
    Printed,
    Raised,
    Step,
)
from mealkit.runtime.urls import LIVE_PATHS, READY_PATHS
from mealkit.untrusted import UntrustedError, parse_json

_BEGIN = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d{1,9})(?:, in (?P<in>.+))?')
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Iteration)?(?::|$)")
_OWN = f"/{CODE}/"
_MOST_FRAMES = 200

Form = dict[str, Any]

_PROBES = frozenset({*LIVE_PATHS, *READY_PATHS})


class KitLog:
    """Turns lines of a log into events; an exception takes several lines."""

    def __init__(self) -> None:
        self.version = ""
        """The version of the kit that the following lines are about."""
        self.is_ready = False
        """Whether that version has answered its first request."""
        self._frames: list[Frame] | None = None

    def read(self, line: str) -> Iterator[DevEvent]:
        """Yield the events of one line."""
        try:
            form = parse_json(line.encode(errors="replace"))
        except UntrustedError:
            form = None
        if not isinstance(form, dict):
            yield Printed("stderr", line)
            return
        read = _READERS.get(str(form.get("event")), _other)
        yield from read(self, form)

    def _version(self, form: Form) -> Iterator[DevEvent]:
        self.version, self.is_ready, self._frames = str(form.get("name")), False, None
        yield from ()

    def _state(self, form: Form) -> Iterator[DevEvent]:
        self.is_ready = form.get("status") == "ready"
        if form.get("status") == "loading" and isinstance(form.get("problem"), dict):
            yield Step(str(form.get("reason")))

    def _worker(self, form: Form) -> Iterator[DevEvent]:
        yield from self._printed(str(form.get("stream")), str(form.get("line")))

    def _printed(self, stream: str, line: str) -> Iterator[DevEvent]:
        """Yield what a line of the engine's output means; frames are kept until the exception."""
        if stream != "stderr" or not self._is_kept(line):
            frames, self._frames = self._frames, None
            if stream == "stderr" and frames is not None and _ERROR.match(line):
                yield Raised(line, tuple(frames))
            elif not _is_problem(line):  # the gateway reports it
                yield Printed(stream, line)

    def _is_kept(self, line: str) -> bool:
        """Return whether a line is part of a traceback that has not ended yet."""
        if line == _BEGIN:
            self._frames = []
            return True
        if found := _FRAME.fullmatch(line):
            # A syntax error that no traceback is around has a frame, too.
            self._frames = [*(self._frames or []), _frame(found)][-_MOST_FRAMES:]
            return True
        if self._frames is not None and line.startswith("  "):
            self._take_text(line)
            return True
        return False

    def _take_text(self, line: str) -> None:
        """Keep the text of the last frame's line; the marks below it are left out."""
        if self._frames and not self._frames[-1].text and line.strip(" ^~"):
            last = self._frames[-1]
            self._frames[-1] = Frame(last.file, last.line, last.function, line.strip(), last.is_own)


def _request(_: KitLog, form: Form) -> Iterator[DevEvent]:
    if form.get("path") not in _PROBES:
        yield _answered(form)


def _problem(_: KitLog, form: Form) -> Iterator[DevEvent]:
    if (found := problem_of_json(form)) is not None:
        yield Failed(found)


def _first_answer(_: KitLog, form: Form) -> Iterator[DevEvent]:
    if (found := problem_of_json(form)) is not None:
        yield Failed(found, is_answering=True)


def _bug(_: KitLog, form: Form) -> Iterator[DevEvent]:
    yield Printed("stderr", str(form.get("error")))


def _other(_: KitLog, form: Form) -> Iterator[DevEvent]:
    """Leave out the other events of the gateway; its last line is a problem and no event."""
    if "event" not in form:
        yield from _problem(_, form)


_READERS: dict[str, Callable[[KitLog, Form], Iterator[DevEvent]]] = {
    "version": KitLog._version,  # noqa: SLF001  this module's own
    "state": KitLog._state,  # noqa: SLF001
    "worker": KitLog._worker,  # noqa: SLF001
    "request": _request,
    "failed": _problem,
    "first answer failed": _first_answer,
    "bug": _bug,
}


def _is_problem(line: str) -> bool:
    try:
        return problem_of_json(parse_json(line.encode(errors="replace"))) is not None
    except ValueError:
        return False


def _frame(found: re.Match[str]) -> Frame:
    file = found["file"]
    is_own = file.startswith(_OWN)
    return Frame(file.removeprefix(_OWN), int(found["line"]), found["in"] or "", "", is_own)


def _answered(form: dict[str, Any]) -> Answered:
    seconds, status = form.get("seconds"), form.get("status")
    code, message = form.get("code"), form.get("message")
    return Answered(
        str(form.get("method") or "-"),
        str(form.get("path") or "-"),
        status if isinstance(status, int) else 0,
        float(seconds) if isinstance(seconds, int | float) else None,
        None if code is None else str(code),
        None if message is None else str(message),
    )
