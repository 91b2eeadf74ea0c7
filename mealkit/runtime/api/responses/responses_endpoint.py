"""``POST /v1/responses``: OpenAI's Responses API, translated into a chat; nothing is stored.

The request becomes one of ``/v1/chat/completions``, so that both have the same rules, and the
engine's answer to it becomes a response. Raises RequestError as the chat does, but with the names
of this request's parameters. Format: https://platform.openai.com/docs/api-reference/responses
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from mealkit.errors import MealkitError, Problem, failures
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.reading import read_request
from mealkit.runtime.api.responses.input_items import (
    Conversation,
    conversation_of,
    refuse_other_items,
)
from mealkit.runtime.api.responses.response_events import ResponseStream
from mealkit.runtime.api.responses.response_models import ResponseAnswer, ResponseEvent
from mealkit.runtime.api.responses.response_object import response_body
from mealkit.runtime.api.responses.response_request import (
    LIKELIHOODS,
    REFUSED,
    ResponseRequest,
    SchemaFormat,
    refuse_changes,
    refuse_other_tools,
)
from mealkit.runtime.api.sampling import SamplingRequest
from mealkit.runtime.api.served_model import ServedModel

PATH = "/v1/responses"

# The parameters that are the same in a chat.
_SAME = (*SamplingRequest.model_fields, "parallel_tool_calls", "safety_identifier")
# The parameters that have another name in a chat.
_NAMES = {
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "logprobs": "include",
    "messages": "input",
}
_PLACE = re.compile(r"messages\[([0-9]+)\]|[a-z_]+")


def _prepare(values: dict[str, Any], served: ServedModel) -> Asked:
    refuse_other_items(values.get("input"))
    refuse_other_tools(values)
    request = read_request(ResponseRequest, values, REFUSED)
    refuse_changes(request)
    conversation = conversation_of(request.instructions, request.input)
    renamed = partial(_renamed, places=conversation.places)
    try:
        asked = CHAT.prepare(_chat_of(request, conversation), served)
    except MealkitError as error:
        raise failures([renamed(problem) for problem in error.problems]) from error
    echoed = _echoed(request, served)
    return replace(
        asked,
        # The last event has the number of tokens.
        wants_usage=True,
        shape=partial(response_body, echoed=echoed),
        stream_form=partial(ResponseStream, echoed),
        renamed=renamed,
    )


def _chat_of(request: ResponseRequest, conversation: Conversation) -> dict[str, Any]:
    """Return the request of a chat; omitted parameters stay omitted."""
    given = request.model_dump(exclude_none=True, by_alias=True)
    values: dict[str, Any] = {name: given[name] for name in _SAME if name in given}
    values["messages"] = conversation.messages
    if request.max_output_tokens is not None:
        values["max_tokens"] = request.max_output_tokens
    if request.top_logprobs or LIKELIHOODS in (request.include or ()):
        values |= {"logprobs": True, "top_logprobs": request.top_logprobs or 0}
    if "tools" in given:
        values["tools"] = [_nested(tool) for tool in given["tools"]]
    if "tool_choice" in given:
        choice = given["tool_choice"]
        values["tool_choice"] = _nested(choice) if isinstance(choice, dict) else choice
    if request.text and request.text.format:
        form = request.text.format.model_dump(exclude_none=True, by_alias=True)
        if isinstance(request.text.format, SchemaFormat):
            kind = form.pop("type")
            form = {"type": kind, kind: form}
        values["response_format"] = form
    return values


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Return a function in the form of a chat, whose fields are one level deeper."""
    fields = {name: value for name, value in flat.items() if name != "type"}
    return {"type": "function", "function": fields}


def _echoed(request: ResponseRequest, served: ServedModel) -> Mapping[str, Any]:
    """Return the fields of a response that repeat its request, or the kit's values."""
    form = (request.text and request.text.format) or {"type": "text"}
    choice = request.tool_choice or "auto"
    return {
        "background": False,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": {},
        "model": request.model,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": served.choose("temperature", request.temperature),
        "text": {"format": form if isinstance(form, dict) else _plain(form)},
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
        # The fields that clients' types require.
        "tools": [
            {"parameters": None, "strict": None, **_plain(tool)} for tool in request.tools or ()
        ],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": served.choose("top_p", request.top_p),
        "truncation": "disabled",
    }


def _plain(model: Any) -> dict[str, Any]:
    values: dict[str, Any] = model.model_dump(exclude_none=True, by_alias=True)
    return values


def _renamed(problem: Problem, places: list[str]) -> Problem:
    """Return a problem of the chat, with the name of this request's parameter."""
    found = _PLACE.match(problem.where or "")
    if not found:
        return problem
    if found[1]:
        # The engine may have joined messages.
        name = places[min(int(found[1]), len(places) - 1)]
    else:
        name = _NAMES.get(found[0], found[0])
    old, rest = found[0], found.string[found.end() :]
    if found[1] and name == "input":
        # A text as the whole input is the content of its message.
        rest = rest.removeprefix(".content")
        old = found.string.removesuffix(rest)
    message = problem.message.replace(old, name)
    return replace(problem, message=message, where=name + rest)


RESPONSES = Endpoint(
    path=PATH,
    operation=CHAT.operation,
    summary="Answer a conversation, as the Responses API does",
    request=ResponseRequest,
    answer=ResponseAnswer,
    is_offered=CHAT.is_offered,
    prepare=_prepare,
    example=lambda _: {"input": "Say hello."},
    event=ResponseEvent,
    ends_with_done=False,
    refusals=REFUSED,
)
