"""The values of a generation request to a worker, and of its answer.

Every number is explicit: the gateway has filled in the kit's values, so a worker never chooses a
default. Standard library only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

Message = Mapping[str, Any]
"""One message of a chat in OpenAI's format: role, content, and the fields of tool calls."""


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
    """Numbers to add to the logits of tokens, by token id."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions that the model may or must call, in OpenAI's format."""

    definitions: Sequence[Mapping[str, Any]]
    choice: Literal["none", "auto", "required"]
    """required: the model must call a function; with ``named``, this one."""
    named: str | None
    parallel: bool
    """Whether one answer may call several functions."""


class PromptEnd(Enum):
    """Where a prompt ends."""

    ANSWER = "answer"
    """At the start of the model's answer."""
    MESSAGES = "messages"
    """After the last message, without the start of an answer."""
    WITHIN_LAST = "within last"
    """In the last message, which the answer continues."""


@dataclass(frozen=True, slots=True)
class CompletionInput:
    """A text to continue."""

    prompt: str
    """The names of special tokens in it are these tokens."""
    sampling: Sampling
    count: int
    """The number of answers."""
    alternatives: int | None
    """The number of likely tokens to return with each chosen one; None for no probabilities."""
    adds_special_tokens: bool = True
    """Whether the tokens are added that the model's tokenizer puts before and after a text."""


@dataclass(frozen=True, slots=True)
class ChatInput:
    """A conversation to answer."""

    messages: Sequence[Message]
    sampling: Sampling
    count: int
    """The number of answers."""
    alternatives: int | None
    """The number of likely tokens to return with each chosen one; None for no probabilities."""
    tools: Tools | None
    schema: Mapping[str, Any] | None
    """The JSON Schema that the answer must match."""
    end: PromptEnd = PromptEnd.ANSWER


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A token, its bytes, and the natural logarithm of its probability."""

    token_id: int
    piece: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of an answer, and the most likely tokens at its place, best first."""

    chosen: Likelihood
    alternatives: Sequence[Likelihood]


@dataclass(frozen=True, slots=True)
class Started:
    """The request is valid; always the first event. It counts the prompt's tokens."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Written:
    """More text of the answer ``index``, in whole characters; with its tokens, if requested."""

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
    stop_text: str | None = field(default=None, compare=False)
    """The stop text that has ended the answer."""


GenerationEvent = Started | Written | Called | Finished
