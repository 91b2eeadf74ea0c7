"""The parameters of every generation: how tokens are chosen, and where an answer ends.

Raises RequestError for parameters that the kit pins or its engine does not support. If a caller
omits a parameter, the kit's value applies, never a default of the engine. Names are OpenAI's;
``top_k``, ``min_p`` and ``repetition_penalty`` are vLLM's.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

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
from mealkit.runtime.api.reading import WHOLE, RefusedParameter, Request, unsupported
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

_DRAWS = tuple(parameter for parameter in PINNED if parameter is not MAX_TOKENS)
NUMBERS = tuple(parameter.name for parameter in _DRAWS)
"""The hyperparameters that a request may name, in addition to ``max_tokens`` and ``stop``."""
MAX_TOKENS_NAMES = (MAX_TOKENS.name, "max_completion_tokens")
"""The two names of the maximum number of tokens of an answer."""


class StreamOptions(Request):
    """What a stream contains in addition to the answer."""

    include_usage: bool | None = None
    """Whether the stream ends with a chunk that has the number of tokens."""
    include_obfuscation: Annotated[
        bool | None, Field(json_schema_extra={"enum": [False, None]})
    ] = None
    """Random padding against eavesdroppers. It is not supported, so true is refused."""


class GenerationRequest(Request):
    """The parameters that chat and completions share."""

    model: str
    """The model's name."""
    temperature: Annotated[float | None, Field(**TEMPERATURE.field)] = None
    top_p: Annotated[float | None, Field(**TOP_P.field)] = None
    top_k: Annotated[int | None, Field(**TOP_K.field), WHOLE] = None
    min_p: Annotated[float | None, Field(**MIN_P.field)] = None
    repetition_penalty: Annotated[float | None, Field(**REPETITION_PENALTY.field)] = None
    presence_penalty: Annotated[float | None, Field(**PRESENCE_PENALTY.field)] = None
    frequency_penalty: Annotated[float | None, Field(**FREQUENCY_PENALTY.field)] = None
    seed: Annotated[int | None, Field(**SEED.field), WHOLE] = None
    max_tokens: Annotated[int | None, Field(**MAX_TOKENS.field), WHOLE] = None
    stop: (
        StopText | Annotated[list[StopText], Field(max_length=MOST_STOPS, fail_fast=True)] | None
    ) = None
    """Texts that end the answer and are not part of it, in addition to the kit's own."""
    n: Annotated[int | None, Field(**ANSWERS.field), WHOLE] = None
    logit_bias: Annotated[Biases | None, Field(description=LOGIT_BIAS.meaning)] = None
    stream: bool | None = None
    """Whether the answer is streamed, as server-sent events."""
    stream_options: StreamOptions | None = None
    """What a stream contains in addition to the answer."""
    user: str | None = None
    """The caller's id of its end user. It is ignored: it never changes an answer."""


_NO_PROMPT_CACHE = RefusedParameter("this kit has no prompt cache that callers can control")
# Parameters of both of OpenAI's endpoints that no kit supports.
REFUSED: Mapping[str, RefusedParameter] = {
    "metadata": RefusedParameter("this kit stores nothing", ({},)),
    "prompt_cache_key": _NO_PROMPT_CACHE,
    "prompt_cache_options": RefusedParameter(
        "this kit has no prompt cache that callers can control"
    ),
    "prompt_cache_retention": RefusedParameter(
        "this kit has no prompt cache that callers can control"
    ),
    "service_tier": RefusedParameter("all requests have the same priority", ("auto", "default")),
    "store": RefusedParameter("this kit stores nothing", (False,)),
}


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
        chosen = served.choose(parameter.name, getattr(asked, parameter.name))
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


def wants_usage(asked: GenerationRequest) -> bool:
    """Return whether a stream's caller wants the chunk that has the number of tokens.

    Raises:
        RequestError: ``stream_options`` is given without a stream, or has an unsupported option.
    """
    options = asked.stream_options
    if options is None:
        return False
    if not asked.stream:
        message = "stream_options is given without stream: true"
        raise failure("REQUEST_INVALID", message, where="stream_options")
    if options.include_obfuscation:
        message = "stream_options.include_obfuscation is not supported: streams are not padded"
        raise unsupported(message, "stream_options.include_obfuscation")
    return bool(options.include_usage)


def _max_tokens(served: ServedModel, asked: int | None) -> Any:
    """Return the maximum number of tokens of an answer; callers may always choose fewer."""
    pinned = served.hyperparameters.get("max_tokens")
    bounds = served.overrides.get("max_tokens")
    if asked is None or asked == pinned:
        return pinned
    if bounds is not None:
        require_within("max_tokens", asked, bounds)
    elif isinstance(pinned, int) and asked > pinned:
        message = f"max_tokens is {asked}, the limit of this kit is {pinned}"
        raise unsupported(message, "max_tokens", "choose fewer, or leave it out")
    return asked


def _refuse_twice(biases: Mapping[str, float]) -> None:
    if len({int(token) for token in biases}) < len(biases):
        message = "logit_bias names a token twice: 01 is 1"
        raise failure("REQUEST_INVALID", message, where="logit_bias")


def _stops(served: ServedModel, asked: str | list[str] | None) -> list[str]:
    pinned = served.hyperparameters.get("stop") or []
    added = [asked] if isinstance(asked, str) else asked or []
    return list(dict.fromkeys([*(pinned if isinstance(pinned, list) else []), *added]))
