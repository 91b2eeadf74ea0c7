"""What the author of a kit is told while the kit is edited, as values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mealkit.errors import Problem
from mealkit.lock.compare import Change


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of code that an exception passed through."""

    file: str
    """The path in the kit's folder, or in the image if the code is not the kit's."""
    line: int
    function: str
    text: str
    is_own: bool
    """Whether it is the kit's own code."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The kit answers."""

    url: str
    seconds: float
    """How long it took since the start or the save."""
    is_first: bool
    example: str


@dataclass(frozen=True, slots=True)
class Saved:
    """Files of the kit were saved, and the recipe is another one."""

    files: tuple[str, ...]
    changes: tuple[Change, ...]
    recipe: str
    """The digest of the recipe as it is now."""
    salt: str
    """The salt digest as it is now."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The kit's folder has problems; what ran before goes on."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A version of the kit cannot start, its engine ended, or its first answer failed."""

    problem: Problem
    is_answering: bool = False
    """Whether the version answers requests nevertheless."""


@dataclass(frozen=True, slots=True)
class Step:
    """What mealkit does now, in words."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was answered."""

    method: str
    path: str
    status: int
    seconds: float | None
    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Raised:
    """Code in the kit's engine raised an exception."""

    error: str
    """Its type and message."""
    frames: tuple[Frame, ...]
    """Outermost first."""


@dataclass(frozen=True, slots=True)
class Printed:
    """The kit's engine printed a line."""

    stream: str
    line: str


DevEvent = Ready | Saved | Refused | Failed | Step | Answered | Raised | Printed


def event_json(event: DevEvent) -> Mapping[str, Any]:
    """Return an event in JSON form, with its kind in ``event``."""
    kind = {"event": type(event).__name__.lower()}
    match event:
        case Refused(problems):
            return {**kind, "problems": [item.as_json() for item in problems]}
        case Saved(changes=changes):
            shown = [item.as_json() for item in changes]
            return {**kind, **asdict(event), "changes": shown}
        case Failed(problem, is_answering):
            return {**kind, "problem": problem.as_json(), "is_answering": is_answering}
        case _:
            return {**kind, **asdict(event)}
