"""The parameters that every generation takes: how tokens are chosen, and where an answer ends.

Refuses what the kit pins and what its engine cannot do. Nothing is left to the engine: whatever a
caller leaves out is the kit's value. Names are OpenAI's; ``top_k``, ``min_p`` and
``repetition_penalty`` are vLLM's.
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
    """Return, of biases that are not all right, one that is wrong: each costs a message."""
    if not isinstance(biases, dict):
        return biases
    if len(biases) > MOST_BIASES:
        raise ValueError(f"names {len(biases)} tokens, {MOST_BIASES} are the most")
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
"""The hyperparameters that a request may name, beside ``max_tokens`` and ``stop``."""
MAX_TOKENS_NAMES = (MAX_TOKENS.name, "max_completion_tokens")
"""The two names of the most tokens of an answer."""


class StreamOptions(Request):
    """What a stream carries beside the answer."""

    include_usage: bool | None = None
    """Whether a last chunk counts the tokens."""
    include_obfuscation: Annotated[
        bool | None, Field(json_schema_extra={"enum": [False, None]})
    ] = None
    """Random padding against eavesdroppers: there is none, so true is refused."""


class GenerationRequest(Request):
    """What chat and completions take alike."""

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
    """Texts that end the answer and are not part of it, beside the kit's own."""
    n: Annotated[int | None, Field(**ANSWERS.field), WHOLE] = None
    logit_bias: Annotated[Biases | None, Field(description=LOGIT_BIAS.meaning)] = None
    stream: bool | None = None
    """Whether the answer comes piece by piece, as server-sent events."""
    stream_options: StreamOptions | None = None
    """What a stream carries beside the answer."""
    user: str | None = None
    """The caller's own mark of its end user. It is not used: it never changes an answer."""


_NO_PROMPT_CACHE = RefusedParameter("there is no cache of prompts that callers could address")
# What both of OpenAI's endpoints know and no kit does.
REFUSED: Mapping[str, RefusedParameter] = {
    "metadata": RefusedParameter("nothing is stored here", ({},)),
    "prompt_cache_key": _NO_PROMPT_CACHE,
    "prompt_cache_options": RefusedParameter(
        "there is no cache of prompts that callers could address"
    ),
    "prompt_cache_retention": RefusedParameter(
        "there is no cache of prompts that callers could address"
    ),
    "service_tier": RefusedParameter("all requests are served alike", ("auto", "default")),
    "store": RefusedParameter("nothing is stored here", (False,)),
}


def sampling_values(
    asked: GenerationRequest, served: ServedModel, max_tokens: int | None
) -> dict[str, Any]:
    """Return every value that decides an answer's tokens, for the worker.

    ``max_tokens``: what the caller asked for, under whatever name.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the parameter.
    """
    served.require_model(asked.model)
    values: dict[str, Any] = {"model": asked.model, "stream": bool(asked.stream)}
    if asked.stream:
        # Always: the tokens are counted, whether the caller wants to know or not.
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
    """Tell whether a stream's caller wants the chunk that counts the tokens.

    Raises:
        RequestError: there are options of a stream where there is no stream, or unknown ones.
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
    """Return the most tokens of an answer; fewer than the kit's may always be asked for."""
    pinned = served.hyperparameters.get("max_tokens")
    bounds = served.overrides.get("max_tokens")
    if asked is None or asked == pinned:
        return pinned
    if bounds is not None:
        require_within("max_tokens", asked, bounds)
    elif isinstance(pinned, int) and asked > pinned:
        message = f"max_tokens is {asked}, an answer of this kit has {pinned} at most"
        raise unsupported(message, "max_tokens", "ask for fewer, or leave it out")
    return asked


def _refuse_twice(biases: Mapping[str, float]) -> None:
    if len({int(token) for token in biases}) < len(biases):
        message = "logit_bias names a token twice: 01 is 1"
        raise failure("REQUEST_INVALID", message, where="logit_bias")


def _stops(served: ServedModel, asked: str | list[str] | None) -> list[str]:
    pinned = served.hyperparameters.get("stop") or []
    added = [asked] if isinstance(asked, str) else asked or []
    return list(dict.fromkeys([*(pinned if isinstance(pinned, list) else []), *added]))
