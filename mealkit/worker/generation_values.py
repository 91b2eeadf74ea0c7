"""What is asked of a worker for the task generation, and what comes back, value by value.

Standard library only. Every number is explicit: the gateway has filled in what the
kit pins, so a worker never chooses a default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Message = Mapping[str, Any]
"""One message of a chat in OpenAI's shape: role, content, and what a tool call adds."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen and where an answer ends; names as in GenerationHyperparameters."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    seed: int
    stop: Sequence[str]
    logit_bias: Mapping[int, float]
    """What is added to the logit of a token."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions that the model may call, in OpenAI's shape, and which of them it must."""

    definitions: Sequence[Mapping[str, Any]]
    choice: Literal["none", "auto", "required"]
    """required: one at least; with ``named``, that one."""
    named: str | None
    parallel: bool
    """Whether one answer may call several."""


@dataclass(frozen=True, slots=True)
class CompletionInput:
    """A text to go on with."""

    prompt: str
    sampling: Sampling
    count: int
    """How many answers."""
    alternatives: int | None
    """How many likely tokens to tell beside each chosen one; None: no likelihoods at all."""


@dataclass(frozen=True, slots=True)
class ChatInput:
    """A conversation to answer."""

    messages: Sequence[Message]
    sampling: Sampling
    count: int
    """How many answers."""
    alternatives: int | None
    """How many likely tokens to tell beside each chosen one; None: no likelihoods at all."""
    tools: Tools | None
    schema: Mapping[str, Any] | None
    """The JSON Schema that the answer must fulfil."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A token, its bytes, and the natural logarithm of the probability that the model gives it."""

    token_id: int
    piece: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of an answer, and the likeliest ones in its place, best first."""

    chosen: Likelihood
    alternatives: Sequence[Likelihood]


@dataclass(frozen=True, slots=True)
class Started:
    """The request can be answered; always the first event. The tokens are those of the prompt."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Written:
    """More text of the answer ``index``, whole characters only, and, if asked for, its tokens."""

    index: int
    text: str
    tokens: Sequence[ChosenToken]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call of a function; the arguments are JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Called:
    """The answer ``index`` calls a tool."""

    index: int
    call: FunctionCall


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer ``index`` has ended; ``tokens`` counts all that were generated for it."""

    index: int
    reason: Literal["stop", "length", "tool_calls"]
    tokens: int


GenerationEvent = Started | Written | Called | Finished
