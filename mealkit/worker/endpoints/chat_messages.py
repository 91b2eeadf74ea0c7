"""The messages and tools of a chat request, in OpenAI's shapes.

Refuses unknown roles and fields, and content that is not text: no engine here sees or hears.
Standard library only. Shapes: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.request import invalid, require_text, require_unicode
from mealkit.worker.endpoints.typed_fields import read_flag, read_list
from mealkit.worker.generation_values import Message, Tools

_ROLES = ("assistant", "developer", "system", "tool", "user")
_FIELDS = ("content", "name", "refusal", "role", "tool_call_id", "tool_calls")
_FUNCTION_FIELDS = ("description", "name", "parameters", "strict")


def read_messages(values: Mapping[str, Any]) -> Sequence[Message]:
    """Read ``messages``, at least one.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_UNSUPPORTED``, naming the message.
    """
    messages = read_list(values, "messages")
    if not messages:
        raise invalid("messages is an empty list", "messages")
    return [_message(item, f"messages[{index}]") for index, item in enumerate(messages)]


def read_tools(values: Mapping[str, Any]) -> Tools | None:
    """Read ``tools``, ``tool_choice`` and ``parallel_tool_calls``; none of the first: no tools.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_UNSUPPORTED``, naming the field.
    """
    if "tools" not in values:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in values:
                raise invalid(f"{name} is given without tools", name)
        return None
    tools = read_list(values, "tools")
    if not tools:
        raise invalid("tools is an empty list", "tools")
    require_unicode(tools, "tools")
    names = [_check_function(item, f"tools[{index}]") for index, item in enumerate(tools)]
    if len(set(names)) < len(names):
        raise invalid("two tools have the same name", "tools")
    parallel = read_flag({"parallel_tool_calls": True, **values}, "parallel_tool_calls")
    choice = values.get("tool_choice", "auto")
    if choice in ("none", "auto", "required"):
        return Tools(tools, choice, None, parallel)
    name = _named(choice)
    if name not in names:
        raise invalid(f"tool_choice names {name!r}, which is no tool", "tool_choice")
    return Tools(tools, "required", name, parallel=False)


def _named(choice: Any) -> str:
    match choice:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case _:
            message = f"tool_choice is {choice!r}, expected none, auto, required or a function"
            raise invalid(message, "tool_choice")


def _message(item: Any, where: str) -> Message:
    fields = _object(item, where)
    _refuse_unknown(fields, _FIELDS, where)
    if fields.get("role") not in _ROLES:
        expected = ", ".join(_ROLES)
        raise invalid(f"role is {fields.get('role')!r}, expected one of {expected}", where)
    if fields.get("refusal") is not None:
        raise failure("REQUEST_UNSUPPORTED", "refusal is not null", where=where)
    for name in ("name", "tool_call_id"):
        if name in fields:
            require_text(fields[name], name, where)
    calls = fields.get("tool_calls")
    if calls is not None:
        _check_calls(fields, where)
    content = fields.get("content")
    if content is None and not calls:
        raise invalid("content is missing", where)
    read = {name: value for name, value in fields.items() if value is not None}
    return {**read, "content": _text(content, where)}


def _text(content: Any, where: str) -> str:
    """Return content as one text: its parts are lines, as to vLLM (chat_utils.py)."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return require_text(content, "content", where)
    texts = []
    for part in content:
        fields = _object(part, where)
        if fields.get("type") != "text":
            message = f"content of type {fields.get('type')!r} is not taken, only text is"
            raise failure("REQUEST_UNSUPPORTED", message, where=where)
        _refuse_unknown(fields, ("text", "type"), where)
        texts.append(require_text(fields.get("text"), "text", where))
    return "\n".join(texts)


def _check_calls(fields: Mapping[str, Any], where: str) -> None:
    if fields["role"] != "assistant":
        raise invalid(f"{fields['role']} has tool_calls, which only assistant may", where)
    for call in read_list(fields, "tool_calls"):
        _refuse_unknown(_object(call, where), ("function", "id", "index", "type"), where)
        if "id" in call:
            require_text(call["id"], "id", where)
        if call.get("type") != "function":
            message = f"a tool call of type {call.get('type')!r} is not taken"
            raise failure("REQUEST_UNSUPPORTED", message, where=where)
        function = _object(call.get("function"), where)
        _refuse_unknown(function, ("arguments", "name"), where)
        for name in ("arguments", "name"):
            require_text(function.get(name), name, where)


def _check_function(item: Any, where: str) -> str:
    fields = _object(item, where)
    if fields.get("type") != "function":
        message = f"a tool of type {fields.get('type')!r} is not taken, only function is"
        raise failure("REQUEST_UNSUPPORTED", message, where=where)
    _refuse_unknown(fields, ("function", "type"), where)
    function = _object(fields.get("function"), where)
    _refuse_unknown(function, _FUNCTION_FIELDS, where)
    if not isinstance(function.get("parameters", {}), dict):
        raise invalid("parameters is not a JSON Schema object", where)
    if function.get("strict") not in (None, True, False):
        raise invalid("strict is neither true nor false", where)
    return require_text(function.get("name"), "name", where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{where} is {type(value).__name__}, expected an object", where)
    return value


def _refuse_unknown(fields: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in fields:
        if name not in known:
            message = f"{name!r} is not known in {where}"
            raise failure("REQUEST_UNSUPPORTED", message, where=where)
