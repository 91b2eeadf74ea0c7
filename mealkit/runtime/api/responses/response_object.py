"""Builds the response object from the engine's answer to a chat.

Raises EngineError for an answer that is not one of a chat. Format:
https://platform.openai.com/docs/api-reference/responses/object
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.errors import failure
from mealkit.runtime.api.usage import TokenUsage, usage_in

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_body(answer: bytes, *, echoed: Mapping[str, Any]) -> bytes:
    """Return the response for an engine's whole answer.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the answer is not one of a chat.
    """
    try:
        given = json.loads(answer)
        [choice] = given["choices"]
        message = choice["message"]
        reason = incomplete_reason(choice["finish_reason"])
        likelihoods = (choice.get("logprobs") or {}).get("content")
        content, calls = message.get("content"), message.get("tool_calls") or []
        output = []
        if content or not calls:
            output.append(message_item(new_id("msg"), content or "", likelihoods or []))
        for call in calls:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            output.append(call_item(new_id("fc"), call["id"], name, arguments))
        usage = usage_in(given["usage"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = "the engine's answer is not one of a chat"
        raise failure("ENGINE_ANSWER", message) from error
    if reason:
        output[-1]["status"] = "incomplete"
    form = response(new_id("resp"), int(time.time()), echoed, output, reason, usage)
    return json.dumps(form, separators=(",", ":")).encode()


def response(
    name: str,
    created: int,
    echoed: Mapping[str, Any],
    output: Sequence[Mapping[str, Any]],
    reason: str | None,
    usage: TokenUsage,
) -> dict[str, Any]:
    """Return a finished response; ``reason``: why it is incomplete."""
    return {
        **unfinished(name, created, echoed),
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else int(time.time()),
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.total_tokens,
        },
    }


def unfinished(name: str, created: int, echoed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response before its first output."""
    return {
        "id": name,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        **echoed,
    }


def incomplete_reason(finish_reason: Any) -> str | None:
    """Return why a response is incomplete; None if it is complete."""
    return _REASONS.get(finish_reason)


def message_item(
    name: str, text: str, likelihoods: Sequence[Any], status: str = "completed"
) -> dict[str, Any]:
    """Return an output item with a text."""
    content = [] if status == "in_progress" else [text_part(text, likelihoods)]
    return {
        "id": name,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def text_part(text: str, likelihoods: Sequence[Any]) -> dict[str, Any]:
    """Return the part of a message that has its text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": likelihoods}


def call_item(
    name: str, call_id: str, function: str, arguments: str, status: str = "completed"
) -> dict[str, Any]:
    """Return an output item with a call of a function."""
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": function,
        "arguments": arguments,
    }


def new_id(prefix: str) -> str:
    """Return a new id of a response, or of one of its items."""
    return f"{prefix}_{secrets.token_hex(16)}"
