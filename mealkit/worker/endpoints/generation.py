"""``POST /v1/chat/completions`` and ``/v1/completions`` of a hosted worker: reads requests.

Standard library only. Formats: https://platform.openai.com/docs/api-reference/chat/create
and .../completions/create; top_k, min_p and repetition_penalty are vLLM's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.recipe.sampling_parameters import (
    ANSWERS,
    COMPLETION_LOGPROBS,
    LOGIT_BIAS,
    PINNED,
    TOP_LOGPROBS,
    Parameter,
    is_stop,
)
from mealkit.worker.endpoints.chat_messages import messages_of, tools_of
from mealkit.worker.endpoints.generated_text import ChatFormat, CompletionFormat, streamed, whole
from mealkit.worker.endpoints.request import EndpointCall, WorkerEndpoint, read_request, typed
from mealkit.worker.generation_values import ChatInput, CompletionInput, PromptEnd, Sampling
from mealkit.worker.interface import GenerationWorker


def generation_endpoints(worker: GenerationWorker, model_name: str) -> Mapping[str, WorkerEndpoint]:
    """Return the endpoints of a worker for the task ``generation``."""

    def chat(call: EndpointCall) -> bytes | Iterator[bytes]:
        request, usage = read_request(call.body, chat_request)
        form = ChatFormat(model_name, has_likelihoods=request.alternatives is not None)
        events = worker.chat(request, call.is_cancelled)
        return whole(events, form) if usage is None else streamed(events, form, usage=usage)

    def complete(call: EndpointCall) -> bytes | Iterator[bytes]:
        request, usage = read_request(call.body, completion_request)
        form = CompletionFormat(model_name, has_likelihoods=request.alternatives is not None)
        events = worker.complete(request, call.is_cancelled)
        return whole(events, form) if usage is None else streamed(events, form, usage=usage)

    return {"POST /v1/chat/completions": chat, "POST /v1/completions": complete}


def chat_request(values: Mapping[str, Any]) -> tuple[ChatInput, bool | None]:
    """Build the request from a body's fields; also return whether a stream has its usage."""
    has_likelihoods = typed(values["logprobs"], bool)
    request = ChatInput(
        messages=messages_of(values),
        sampling=_sampling(values),
        count=_number(ANSWERS, values["n"]),
        alternatives=_number(TOP_LOGPROBS, values["top_logprobs"]) if has_likelihoods else None,
        tools=tools_of(values),
        schema=_schema(values.get("response_format")),
        end=_end(values),
    )
    return request, _usage(values)


def completion_request(values: Mapping[str, Any]) -> tuple[CompletionInput, bool | None]:
    """Build the request from a body's fields; also return whether a stream has its usage."""
    asked = values["logprobs"]
    request = CompletionInput(
        prompt=typed(values["prompt"], str),
        sampling=_sampling(values),
        count=_number(ANSWERS, values["n"]),
        alternatives=None if asked is None else _number(COMPLETION_LOGPROBS, asked),
        adds_special_tokens=typed(values.get("add_special_tokens", True), bool),
    )
    return request, _usage(values)


def _sampling(values: Mapping[str, Any]) -> Sampling:
    pinned: dict[str, Any] = {
        parameter.name: _number(parameter, values[parameter.name]) for parameter in PINNED
    }
    stop = typed(values["stop"], list)
    if not all(map(is_stop, stop)):
        raise ValueError("stop")
    biases = typed(values.get("logit_bias", {}), dict)
    return Sampling(
        **pinned,
        stop=stop,
        logit_bias={int(token): _number(LOGIT_BIAS, bias) for token, bias in biases.items()},
    )


def _number(parameter: Parameter[Any], value: Any) -> Any:
    """Return a number; raise unless it is within the bounds of kits and gateway."""
    if not parameter.accepts(value):
        raise ValueError(parameter.name)
    return parameter.kind(value)


def _schema(given: Any) -> Mapping[str, Any] | None:
    """Return the JSON Schema that the answer must match; None for text."""
    if given is None:
        return None
    if given["type"] == "json_object":
        return {"type": "object"}
    return typed(given["json_schema"]["schema"], dict)


def _end(values: Mapping[str, Any]) -> PromptEnd:
    if typed(values.get("continue_final_message", False), bool):
        return PromptEnd.WITHIN_LAST
    opens = typed(values.get("add_generation_prompt", True), bool)
    return PromptEnd.ANSWER if opens else PromptEnd.MESSAGES


def _usage(values: Mapping[str, Any]) -> bool | None:
    """Return whether a stream has its usage; None if it is not a stream."""
    if not typed(values["stream"], bool):
        return None
    options = typed(values.get("stream_options", {}), dict)
    return typed(options.get("include_usage", False), bool)
