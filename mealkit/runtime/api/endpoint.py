"""What an endpoint is: who is offered it, what it takes, what the worker is asked, what comes back.

Pure: from values to values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from mealkit.runtime.api.offer import Offer
from mealkit.runtime.api.prompt_length import Room
from mealkit.runtime.api.reading import Refusal, Request


class Counting(StrEnum):
    """How the tokens of an answer are told."""

    USAGE = "usage"
    """In its ``usage``; in that of a stream's last chunk."""
    NOTHING = "nothing"
    """Not at all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the worker is asked for a caller."""

    target: str
    """The worker's path."""
    body: bytes
    streams: bool = False
    """Whether the caller wants the answer piece by piece."""
    wants_usage: bool = False
    """Whether the caller of a stream wants the chunk that counts the tokens."""
    seed: int | None = None
    """What the draws start from, if there are any."""
    room: Room | None = None
    """What must be counted before, if the engine would shorten the answer."""
    shape: Callable[[bytes], bytes] | None = None
    """Makes the caller's answer of the worker's; None: it is the worker's."""

    @property
    def held_bytes(self) -> int:
        """How much memory it takes until it is answered; ``shape`` may keep its texts."""
        counted = len(self.room.body) if self.room else 0
        return counted + len(self.body) * (2 if self.shape else 1)


# There is one of each: they are told apart by what they are, not by what they hold.
@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One endpoint that has the engine work."""

    path: str
    operation: str
    """Its name in metrics: that of OpenTelemetry's ``gen_ai.operation.name``, where it has one."""
    summary: str
    request: type[Request]
    answer: type[BaseModel]
    is_offered: Callable[[Offer], bool]
    prepare: Callable[[dict[str, Any], Offer], Asked]
    """Checks a caller's values; a RequestError names what is wrong."""
    example: Callable[[Offer], dict[str, Any]]
    """A request that works, without the model's name."""
    counting: Counting = Counting.USAGE
    event: type[BaseModel] | None = None
    """What each event of a stream holds; None: it does not stream."""
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    """The parameters that others know and this endpoint refuses by their names."""
