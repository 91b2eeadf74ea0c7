"""The history of a deployment: one line for each event, appended and never changed.

The lines are read by a bounded parser. A line that cannot be read, such as one that a loss of power
cut, is skipped.
"""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import ValidationError

from mealkit.deploy.deployment import DeploymentValue, Digested, GateResult, Moment, Number
from mealkit.strings import Line, MaybeLine

MAX_HISTORY_BYTES = 16 * 1024 * 1024
"""The most bytes of a history that are read, from its end."""
_MAX_LINE_BYTES = 64 * 1024


class EventKind(StrEnum):
    """What happened."""

    ASKED = "asked"
    """A revision, or a rollback, was asked for."""
    UNFIT = "unfit"
    """The machine or the image did not allow it, and nothing was started."""
    STOPPED_FIRST = "stopped first"
    """The old revision was stopped before the new one started."""
    MOVED = "moved"
    """The traffic moved to a revision."""
    SERVES = "serves"
    """A change ended, and the revision has the traffic."""
    ROLLED_BACK = "rolled back"
    """A gate stopped a change, and the revision that had the traffic before has it again."""
    FAILED = "failed"
    """A gate stopped a change, and no revision had the traffic before."""
    FINISHED = "finished"
    """An interrupted change was finished."""
    REPAIRED = "repaired"
    """The revision that should have the traffic did not run, and was started again."""
    DOWN = "down"
    """The deployment was taken down."""


class Event(DeploymentValue):
    """One line of the history."""

    seconds: Moment
    user: Line
    kind: EventKind
    revision: Number | None = None
    kit: MaybeLine = ""
    image: Digested | None = None
    recipe: Digested | None = None
    reason: MaybeLine = ""
    """Why, in the user's words, or a sentence with the numbers."""
    gate: GateResult | None = None
    """The gate that stopped a change."""

    @property
    def line(self) -> bytes:
        """The event as one line of the file."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"


def read_events(data: bytes) -> Iterator[Event]:
    """Yield the events of a history, the oldest first."""
    for line in data.splitlines():
        if 0 < len(line) <= _MAX_LINE_BYTES:
            try:
                yield Event.model_validate_json(line)
            except ValidationError:
                continue
