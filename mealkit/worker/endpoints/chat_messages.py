"""Reads the messages and tools of a chat request, which the gateway has written in OpenAI's format.

Standard library only. Format: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.worker.endpoints.request import typed
from mealkit.worker.generation_values import Message, Tools

_CHOICES = ("none", "auto", "required")


def messages_of(values: Mapping[str, Any]) -> Sequence[Message]:
    """Return ``messages``; a message with only tool calls gets an empty text."""
    messages = typed(values["messages"], list)
    if not messages:
        raise ValueError("there is no message")
    return [_message(typed(item, dict)) for item in messages]


def tools_of(values: Mapping[str, Any]) -> Tools | None:
    """Return ``tools`` with their options; None without tools."""
    if "tools" not in values:
        return None
    tools = typed(values["tools"], list)
    names = [typed(_function_of(tool)["name"], str) for tool in tools]
    choice = values.get("tool_choice", "auto")
    parallel = typed(values.get("parallel_tool_calls", True), bool)
    if choice in _CHOICES:
        return Tools(tools, choice, None, parallel)
    named = typed(_function_of(choice)["name"], str)
    if named not in names:
        raise LookupError(named)
    return Tools(tools, "required", named, parallel=False)


def _message(fields: Mapping[str, Any]) -> Message:
    typed(fields["role"], str)
    for call in fields.get("tool_calls", ()):
        function = _function_of(call)
        typed(function["name"], str)
        typed(function["arguments"], str)
    return {**fields, "content": typed(fields.get("content", ""), str)}


def _function_of(item: Any) -> Mapping[str, Any]:
    return typed(typed(item, dict)["function"], dict)
