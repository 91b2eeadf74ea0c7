"""The parameters of every generation: how tokens are chosen, and where an answer ends.

Raises RequestError for parameters that the kit pins or its engine does not support. If a caller
omits a parameter, the kit's value applies, never a default of the engine. Names are OpenAI's;
``top_k``, ``min_p`` and ``repetition_penalty`` are vLLM's.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from mealkit.errors import failure
from mealkit.recipe.kit import Feature
from mealkit.recipe.sampling_parameters import (
    ANSWERS,
    FREQUENCY_PENALTY,
    LOGIT_BIAS,
    MAX_TOKENS,
    MIN_P,
    MOST_BIASES,
    MOST_STOP_CHARACTERS,
    MOST_STOPS,
    PINNED,
    PRESENCE_PENALTY,
    REPETITION_PENALTY,
    SEED,
    TEMPERATURE,
    TOKEN_PATTERN,
    TOP_K,
    TOP_P,
)
from mealkit.runtime.api.reading import WHOLE, Request, unsupported
from mealkit.runtime.api.served_model import ServedModel, require_within

StopText = Annotated[str, StringConstraints(min_length=1, max_length=MOST_STOP_CHARACTERS)]


_TOKEN = re.compile(TOKEN_PATTERN)


def _first_wrong(biases: Any) -> Any:
    """Return only the first invalid bias, because pydantic writes a message for each."""
    if not isinstance(biases, dict):
        return biases
    if len(biases) > MOST_BIASES:
        raise ValueError(f"names {len(biases)} tokens, the limit is {MOST_BIASES}")
    for name, amount in biases.items():
        if not _TOKEN.fullmatch(name) or not LOGIT_BIAS.accepts(amount):
            return {name: amount}
    return biases


Biases = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=f"^{_TOKEN.pattern}$")],
        Annotated[float, Field(**LOGIT_BIAS.bounds)],
    ],
    BeforeValidator(_first_wrong),
    Field(json_schema_extra={"additionalProperties": False}),
]

_LARGEST_LIMIT = 2**63 - 1

TokenLimit = Annotated[
    Annotated[int, Field(ge=MAX_TOKENS.least, le=_LARGEST_LIMIT)] | Literal[-1] | None, WHOLE
]
"""A maximum number of tokens, however large; -1 is none, as with llama.cpp."""
TopK = Annotated[Annotated[int, Field(**TOP_K.bounds)] | Literal[-1] | None, WHOLE]

SAME_AS_NEUTRAL: Mapping[str, int] = {TOP_K.name: -1}
"""Numbers that other servers read as a parameter's neutral value."""

_DRAWS = tuple(parameter for parameter in PINNED if parameter is not MAX_TOKENS)
NUMBERS = tuple(parameter.name for parameter in _DRAWS)
"""The hyperparameters that a request may name, in addition to ``max_tokens`` and ``stop``."""
MAX_TOKENS_NAMES = (MAX_TOKENS.name, "max_completion_tokens", "max_output_tokens")
"""The names of the maximum number of tokens of an answer."""


class StreamOptions(Request):
    """What a stream contains in addition to the answer."""

    include_usage: bool | None = None
    """Whether the stream ends with a chunk that has the number of tokens."""
    continuous_usage_stats: Annotated[
        bool | None, Field(json_schema_extra={"enum": [False, None]})
    ] = None
    """The number of tokens in every chunk. It is not supported, so true is refused."""
    include_obfuscation: Annotated[
        bool | None, Field(json_schema_extra={"enum": [False, None]})
    ] = None
    """Random padding against eavesdroppers. It is not supported, so true is refused."""


class SamplingRequest(Request):
    """The parameters that all endpoints of generation share."""

    model: str
    """The model's name."""
    temperature: Annotated[float | None, Field(**TEMPERATURE.field)] = None
    top_p: Annotated[float | None, Field(**TOP_P.field)] = None
    top_k: Annotated[TopK, Field(description=f"{TOP_K.meaning[:-1]}, as does -1.")] = None
    min_p: Annotated[float | None, Field(**MIN_P.field)] = None
    repetition_penalty: Annotated[float | None, Field(**REPETITION_PENALTY.field)] = None
    presence_penalty: Annotated[float | None, Field(**PRESENCE_PENALTY.field)] = None
    frequency_penalty: Annotated[float | None, Field(**FREQUENCY_PENALTY.field)] = None
    seed: Annotated[int | None, Field(**SEED.field), WHOLE] = None
    stop: (
        StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS, fail_fast=True)] | None
    ) = None
    """Texts that end the answer and are not part of it, in addition to the kit's own."""
    logit_bias: Annotated[Biases | None, Field(description=LOGIT_BIAS.meaning)] = None
    stream: bool | None = None
    """Whether the answer is streamed, as server-sent events."""
    stream_options: StreamOptions | None = None
    """What a stream contains in addition to the answer; ignored without a stream."""
    user: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""
    metadata: dict[str, Any] | None = None
    """The caller's notes about the request. They are ignored: nothing is stored."""
    prompt_cache_key: str | None = None
    """Which requests begin alike. It is ignored: it never changes an answer."""
    prompt_cache_retention: str | None = None
    """How long to keep a prompt cached. It is ignored: it never changes an answer."""
    prompt_cache_options: Any = None
    """How to cache the prompt. They are ignored: they never change an answer."""
    cache_salt: str | None = None
    """Which callers share a prompt cache. It is ignored: it never changes an answer."""
    cache_prompt: bool | None = None
    """Whether to cache the prompt. It is ignored: it never changes an answer."""
    service_tier: str | None = None
    """How urgent the request is. It is ignored: all requests have the same priority."""
    store: bool | None = None
    """Has no effect: nothing is stored."""


class GenerationRequest(SamplingRequest):
    """The parameters that chat and completions share."""

    max_tokens: Annotated[TokenLimit, Field(description=MAX_TOKENS.meaning)] = None
    n: Annotated[int | None, Field(**ANSWERS.field), WHOLE] = None


def sampling_values(
    asked: GenerationRequest, served: ServedModel, max_tokens: int | None
) -> dict[str, Any]:
    """Return every value that determines an answer's tokens, for the worker.

    ``max_tokens``: the caller's value, under either of its names.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter.
    """
    served.require_model(asked.model)
    values: dict[str, Any] = {"model": asked.model, "stream": bool(asked.stream)}
    if asked.stream:
        # Always, because the gateway's metrics count the tokens.
        values["stream_options"] = {"include_usage": True}
    for parameter in _DRAWS:
        wanted = getattr(asked, parameter.name)
        if wanted is not None and wanted == SAME_AS_NEUTRAL.get(parameter.name):
            wanted = parameter.neutral
        chosen = served.choose(parameter.name, wanted)
        if chosen is not None:
            values[parameter.name] = parameter.kind(chosen)
    values["max_tokens"] = _max_tokens(served, max_tokens)
    values["stop"] = _stops(served, asked.stop)
    values["n"] = asked.n or ANSWERS.neutral
    if values["n"] > 1:
        served.require(Feature.MULTIPLE, "n")
    if asked.logit_bias:
        served.require(Feature.LOGIT_BIAS, "logit_bias")
        _refuse_twice(asked.logit_bias)
        values["logit_bias"] = asked.logit_bias
    return values


def most_answer_tokens(body: Mapping[str, Any], served: ServedModel) -> int:
    """Return the most tokens that the answers to a request can have together."""
    limits = (body.get("max_tokens"), served.hyperparameters.get("max_length"))
    known = [limit for limit in limits if isinstance(limit, int)]
    return min(known, default=0) * int(body.get("n", 1))


def wants_usage(asked: GenerationRequest) -> bool:
    """Return whether a stream's caller wants the chunk that has the number of tokens.

    Raises:
        RequestError: ``stream_options`` has an unsupported option.
    """
    options = asked.stream_options
    if options is None or not asked.stream:
        return False
    if options.include_obfuscation:
        message = "stream_options.include_obfuscation is not supported: streams are not padded"
        raise unsupported(message, "stream_options.include_obfuscation")
    if options.continuous_usage_stats:
        message = "stream_options.continuous_usage_stats is not supported: use include_usage"
        raise unsupported(message, "stream_options.continuous_usage_stats")
    return bool(options.include_usage)


def token_limit(*limits: int | None) -> int | None:
    """Return a caller's limit of tokens, given under one name or, with equal values, several.

    Raises:
        RequestError: ``REQUEST_INVALID``, the values differ.
    """
    given = {limit for limit in limits if limit is not None and limit > 0}
    if len(given) > 1:
        first, second, *_ = MAX_TOKENS_NAMES
        message = f"{first} and {second} are the same parameter, and their values differ"
        raise failure("REQUEST_INVALID", message, where=second)
    return next(iter(given), None)


def _max_tokens(served: ServedModel, asked: int | None) -> Any:
    """Return the maximum number of tokens of an answer: the kit's, if the caller's is larger.

    It is a cap, so an answer within the smaller one is also within the larger one.
    """
    pinned = served.hyperparameters.get("max_tokens")
    bounds = served.overrides.get("max_tokens")
    if asked is None or asked == pinned:
        return pinned
    most = pinned if bounds is None else bounds.maximum
    capped = min(asked, MAX_TOKENS.most if most is None else int(most))
    if isinstance(pinned, int) and capped < pinned <= asked:
        return pinned
    if bounds is not None:
        require_within("max_tokens", capped, bounds)
    return capped


def _refuse_twice(biases: Mapping[str, float]) -> None:
    if len({int(token) for token in biases}) < len(biases):
        message = "logit_bias names a token twice: 01 is 1"
        raise failure("REQUEST_INVALID", message, where="logit_bias")


def _stops(served: ServedModel, asked: str | list[str] | None) -> list[str]:
    pinned = served.hyperparameters.get("stop") or []
    added = [asked] if isinstance(asked, str) else asked or []
    return list(dict.fromkeys([*(pinned if isinstance(pinned, list) else []), *added]))
