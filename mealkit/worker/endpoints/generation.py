"""``POST /v1/chat/completions`` and ``/v1/completions`` of a hosted worker: requests to values.

The gateway has filled in every value that the kit pins; what is missing here is refused, not
guessed. Standard library only. Shapes: https://platform.openai.com/docs/api-reference/chat/create
and .../completions/create; top_k, min_p and repetition_penalty are vLLM's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.call import Call, Endpoint
from mealkit.worker.endpoints.chat_messages import read_messages, read_tools
from mealkit.worker.endpoints.request import (
    invalid,
    read_request,
    require_text,
    require_unicode,
)
from mealkit.worker.endpoints.text import ChatShape, CompletionShape, streamed, whole
from mealkit.worker.endpoints.typed_fields import (
    read_flag,
    read_integer,
    read_number,
    read_stop,
    require,
)
from mealkit.worker.generation_values import ChatRequest, CompletionRequest, Sampling
from mealkit.worker.interface import LARGEST_SEED, GenerationWorker

# OpenAI's limits; they bound the size of an answer.
MAX_ANSWERS = 128
MAX_ALTERNATIVES = 20

_SAMPLING = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "min_p",
    "n",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_k",
    "top_p",
)
_CHAT_FIELDS = (
    *_SAMPLING,
    "messages",
    "parallel_tool_calls",
    "response_format",
    "tool_choice",
    "tools",
    "top_logprobs",
)
_COMPLETION_FIELDS = (*_SAMPLING, "echo", "prompt")
_LARGEST = 2**63 - 1


def generation_endpoints(worker: GenerationWorker, model_name: str) -> Mapping[str, Endpoint]:
    """Return what a worker for the task ``generation`` answers."""

    def chat(call: Call) -> bytes | Iterator[bytes]:
        values = read_request(call.body, _CHAT_FIELDS, model_name)
        request = _chat_request(values)
        shape = ChatShape(model_name, has_likelihoods=request.alternatives is not None)
        events = worker.chat(request, call.is_cancelled)
        usage = _read_stream(values)
        return whole(events, shape) if usage is None else streamed(events, shape, usage=usage)

    def complete(call: Call) -> bytes | Iterator[bytes]:
        values = read_request(call.body, _COMPLETION_FIELDS, model_name)
        request = _completion_request(values)
        shape = CompletionShape(model_name, has_likelihoods=request.alternatives is not None)
        events = worker.complete(request, call.is_cancelled)
        usage = _read_stream(values)
        return whole(events, shape) if usage is None else streamed(events, shape, usage=usage)

    return {"POST /v1/chat/completions": chat, "POST /v1/completions": complete}


def _chat_request(values: Mapping[str, Any]) -> ChatRequest:
    alternatives = None
    if read_flag(values, "logprobs"):
        alternatives = read_integer(values, "top_logprobs", 0, MAX_ALTERNATIVES)
    elif "top_logprobs" in values:
        raise invalid("top_logprobs is given without logprobs", "top_logprobs")
    return ChatRequest(
        messages=read_messages(values),
        sampling=_sampling(values),
        count=read_integer(values, "n", 1, MAX_ANSWERS),
        alternatives=alternatives,
        tools=read_tools(values),
        schema=_schema(values.get("response_format")),
    )


def _completion_request(values: Mapping[str, Any]) -> CompletionRequest:
    if read_flag(values, "echo"):
        raise failure("REQUEST_UNSUPPORTED", "echo is not supported", where="echo")
    alternatives = None
    if require(values, "logprobs") is not None:
        alternatives = read_integer(values, "logprobs", 0, MAX_ALTERNATIVES)
    return CompletionRequest(
        prompt=require_text(require(values, "prompt"), "prompt", "prompt"),
        sampling=_sampling(values),
        count=read_integer(values, "n", 1, MAX_ANSWERS),
        alternatives=alternatives,
    )


def _sampling(values: Mapping[str, Any]) -> Sampling:
    top_p = read_number(values, "top_p", 0, 1)
    repetition_penalty = read_number(values, "repetition_penalty", 0)
    for name, value in (("top_p", top_p), ("repetition_penalty", repetition_penalty)):
        if value == 0:
            raise invalid(f"{name} is 0, expected more", name)
    return Sampling(
        max_tokens=read_integer(values, "max_tokens", 1, _LARGEST),
        temperature=read_number(values, "temperature", 0),
        top_p=top_p,
        top_k=read_integer(values, "top_k", 0, _LARGEST),
        min_p=read_number(values, "min_p", 0, 1),
        repetition_penalty=repetition_penalty,
        presence_penalty=read_number(values, "presence_penalty"),
        frequency_penalty=read_number(values, "frequency_penalty"),
        seed=read_integer(values, "seed", 0, LARGEST_SEED),
        stop=read_stop(values),
        logit_bias=_logit_bias(values.get("logit_bias", {})),
    )


def _logit_bias(bias: Any) -> dict[int, float]:
    if not isinstance(bias, dict):
        message = f"logit_bias is {type(bias).__name__}, expected an object"
        raise invalid(message, "logit_bias")
    for name in bias:
        if not (name.isascii() and name.isdigit() and len(name) < 10):
            raise invalid(f"logit_bias names {name!r}, which is no token", "logit_bias")
    found = {int(name): _amount(name, bias) for name in bias}
    if len(found) < len(bias):
        raise invalid("logit_bias names a token twice", "logit_bias")
    return found


def _amount(name: str, bias: Mapping[str, Any]) -> float:
    # OpenAI's bounds: beyond, a token is as good as forced or forbidden already.
    return read_number({"logit_bias": bias[name]}, "logit_bias", -100, 100)


def _schema(given: Any) -> Mapping[str, Any] | None:
    require_unicode(given, "response_format")
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object", **rest} if not rest:
            return {"type": "object"}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case _:
            message = "response_format is none of text, json_object and json_schema"
            raise invalid(message, "response_format")


def _read_stream(values: Mapping[str, Any]) -> bool | None:
    """Return whether a stream tells its usage; None: it is no stream."""
    if not read_flag(values, "stream"):
        if "stream_options" in values:
            raise invalid("stream_options is given without stream", "stream_options")
        return None
    match values.get("stream_options", {}):
        case {"include_usage": bool(usage), **rest} if not rest:
            return usage
        case {**rest} if not rest:
            return False
        case _:
            raise invalid("stream_options is not {include_usage: true}", "stream_options")
