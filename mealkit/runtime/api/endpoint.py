"""What an endpoint is: who is offered it, what it takes, what the worker is asked, what comes back.

Pure: from values to values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from mealkit.runtime.api.prompt_length import LengthCheck
from mealkit.runtime.api.reading import RefusedParameter, Request
from mealkit.runtime.api.served_model import ServedModel


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
    length_check: LengthCheck | None = None
    """What must be counted before, if the engine would shorten the answer."""
    shape: Callable[[bytes], bytes] | None = None
    """Makes the caller's answer of the worker's; None: it is the worker's."""

    @property
    def held_bytes(self) -> int:
        """How much memory it takes until it is answered; ``shape`` may keep its texts."""
        counted = len(self.length_check.body) if self.length_check else 0
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
    is_offered: Callable[[ServedModel], bool]
    prepare: Callable[[dict[str, Any], ServedModel], Asked]
    """Checks a caller's values; a RequestError names what is wrong."""
    example: Callable[[ServedModel], dict[str, Any]]
    """A request that works, without the model's name."""
    counting: Counting = Counting.USAGE
    event: type[BaseModel] | None = None
    """What each event of a stream holds; None: it does not stream."""
    refusals: Mapping[str, RefusedParameter] = field(default_factory=dict)
    """The parameters that others know and this endpoint refuses by their names."""
