"""The definition of an endpoint: when it is offered, its request, its worker request, its answer.

No I/O.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel

from mealkit.errors import Problem
from mealkit.runtime.api.contract_inputs import ContractInputs
from mealkit.runtime.api.form_data import Part
from mealkit.runtime.api.prompt_length import LengthCheck
from mealkit.runtime.api.reading import RefusedParameter, Request
from mealkit.runtime.api.served_model import ServedModel


class Counting(StrEnum):
    """Where the gateway reads the number of tokens of an answer."""

    USAGE = "usage"
    """In the answer's ``usage``; for a stream, in its last chunk."""
    NOTHING = "nothing"
    """Nowhere: the tokens are not counted."""


class StreamForm(Protocol):
    """The form of one stream, if the caller gets other events than the worker sends."""

    def take(self, events: bytes) -> bytes:
        """Convert whole events of the worker; return those for the caller, or none yet."""

    def fail(self, error: Mapping[str, Any]) -> bytes:
        """Return the last events of a stream that fails; ``error`` is OpenAI's error object."""


@dataclass(frozen=True, slots=True)
class TextToCount:
    """A text whose number of tokens decides about a rule of the data contract."""

    name: str
    """The input of the contract."""
    where: str
    """The field of the request."""
    text: str
    body: bytes
    """The body of the request to ``COUNTING_PATH``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request to the worker for one request of a caller."""

    target: str
    """The path at the worker."""
    body: bytes
    streams: bool = False
    """Whether the caller requested a stream."""
    wants_usage: bool = False
    """Whether the caller of a stream requested the chunk that has the number of tokens."""
    answer_tokens: int = 0
    """The most tokens of all answers together; 0 if the endpoint generates none."""
    repeated_bytes: int = 0
    """The bytes of text that the engine reads again, such as a query with each document."""
    seed: int | None = None
    """The seed of the random numbers, if any are used."""
    length_check: LengthCheck | None = None
    """The prompt to count first, if the engine requires a ``max_tokens`` that fits."""
    shape: Callable[[bytes], bytes] | None = None
    """Converts the worker's answer for the caller; None if the caller gets it unchanged."""
    stream_form: Callable[[], StreamForm] | None = None
    """Converts the worker's events for the caller; None if the caller gets them unchanged."""
    renamed: Callable[[Problem], Problem] | None = None
    """Names the caller's parameter in the worker's problem; None if the names are the same."""

    inputs: ContractInputs | None = None
    """The values that the data contract is about; None if they are checked already."""
    to_count: tuple[TextToCount, ...] = ()
    """The texts whose tokens the data contract limits."""
    data_warnings: str = ""
    """The violations of the data contract that do not refuse the request, for a header."""
    prompt: str = ""
    """The name of the kit's prompt that was applied; empty if none was."""
    system_prompt: str = ""
    """What was done with the kit's system prompt, for a header; empty without one."""

    @property
    def held_bytes(self) -> int:
        """The memory that the request uses until it is answered; ``shape`` may store its texts."""
        counted = len(self.length_check.body) if self.length_check else 0
        counted += sum(len(item.text) + len(item.body) for item in self.to_count)
        return counted + len(self.body) * (2 if self.shape else 1)


# Compared by identity: there is one object for each endpoint.
@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One endpoint that sends requests to the engine."""

    path: str
    operation: str
    """Its name in metrics: a value of OpenTelemetry's ``gen_ai.operation.name``, if one fits."""
    summary: str
    request: type[Request]
    answer: type[BaseModel]
    is_offered: Callable[[ServedModel], bool]
    prepare: Callable[[dict[str, Any], ServedModel], Asked]
    """Checks a caller's values; raises RequestError with the parameter's name."""
    example: Callable[[ServedModel], dict[str, Any]]
    """An example of a request, without the model's name, for a kit without a case for it."""
    counting: Counting = Counting.USAGE
    event: type[BaseModel] | None = None
    """The content of each event of a stream; None if the endpoint does not stream."""
    ends_with_done: bool = True
    """Whether the last event of a stream is ``[DONE]``."""
    refusals: Mapping[str, RefusedParameter] = field(default_factory=dict)
    """The parameters of other APIs that this endpoint refuses by name."""
    read_form: Callable[[Sequence[Part], ServedModel], dict[str, Any]] | None = None
    """Makes the values of a request that came as a form; None if requests are in JSON only."""
    gives_file: Callable[[ServedModel], bool] = lambda _: False
    """Whether a caller may get the answer as a file."""

    def example_of(self, served: ServedModel) -> dict[str, Any]:
        """Return an example of a request: that of the kit's first case for this endpoint."""
        own = served.examples.get(self.path)
        return {"model": served.model, **(self.example(served) if own is None else own)}
