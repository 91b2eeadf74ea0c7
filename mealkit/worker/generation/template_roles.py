"""Learns which messages a chat template writes, and rewrites those that it would lose.

Most templates know three or four roles. Some raise for others, some write nothing for them, some
write any role's name. A template cannot be asked, so small conversations are rendered and compared.
Standard library only.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.worker.generation_values import Message

_ASKED_ABOUT = frozenset({"developer", "system", "tool"})
_PROBE = "qzjxkw"
_OTHER_ROLE = "qzjxkv"
_USER = {"role": "user", "content": "a"}
_CALL = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "f", "arguments": {"x": 1}},
}
_TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
}
_CALLING = {"role": "assistant", "content": "", "tool_calls": [_CALL]}

Rendering = Callable[[Sequence[Message], Sequence[Mapping[str, Any]] | None], str | None]
"""Renders messages and tools; returns None if the template rejects them, or fails."""


class TemplateRoles:
    """What one template does with the messages of each role."""

    def __init__(self, render: Rendering) -> None:
        self._render = render

    def readable(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages in roles and at places where the template writes them.

        Raises:
            RequestError: ``REQUEST_UNSUPPORTED``, the template writes nothing for a message.
        """
        roles = {message["role"] for message in messages}
        if not roles & _ASKED_ABOUT or not self._can_be_asked:
            return messages
        if "developer" in roles and not self._knows_developer:
            messages = [_as_system(message) for message in messages]
            roles = {message["role"] for message in messages}
        if "system" in roles:
            if not self._writes_system:
                raise _unwritten("system", "put the instructions into the first user message")
            if _has_later_system(messages) and not self._writes_later_system:
                messages = _with_system_first(messages)
        if "tool" in roles and not self._writes_tool:
            raise _unwritten("tool", "put the results into a user message")
        return messages

    @cached_property
    def _can_be_asked(self) -> bool:
        return self._render([_USER], None) is not None

    @cached_property
    def _knows_developer(self) -> bool:
        """Whether the template distinguishes the role developer from any unknown role."""
        asked = self._render([{"role": "developer", "content": _PROBE}, _USER], None)
        other = self._render([{"role": _OTHER_ROLE, "content": _PROBE}, _USER], None)
        if asked is None or other is None:
            return asked is not None
        return asked != other.replace(_OTHER_ROLE, "developer")

    @cached_property
    def _writes_system(self) -> bool:
        return self._writes({"role": "system", "content": _PROBE}, _USER)

    @cached_property
    def _writes_later_system(self) -> bool:
        answer = {"role": "assistant", "content": "b"}
        later = {"role": "system", "content": _PROBE}
        return _PROBE in (self._render([_USER, answer, later, _USER], None) or "")

    @cached_property
    def _writes_tool(self) -> bool:
        result = {"role": "tool", "tool_call_id": _CALL["id"], "name": "f", "content": _PROBE}
        messages = (_USER, _CALLING, result)
        return self._writes(*messages) or self._writes(*messages, tools=[_TOOL])

    def _writes(self, *messages: Message, tools: Sequence[Mapping[str, Any]] | None = None) -> bool:
        """Return whether the text has the probe; a template that rejects it says so itself."""
        text = self._render(messages, tools)
        return text is None or _PROBE in text


def _with_system_first(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with all system texts joined in one message at the beginning."""
    texts = [str(message["content"]) for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    return [{"role": "system", "content": "\n\n".join(texts)}, *others]


def _has_later_system(messages: Sequence[Message]) -> bool:
    return any(message["role"] == "system" for message in messages[1:])


def _as_system(message: Message) -> dict[str, Any]:
    return {**message, "role": "system" if message["role"] == "developer" else message["role"]}


def _unwritten(role: str, hint: str) -> MealkitError:
    message = f"the chat template of this model writes nothing for messages of the role {role}"
    return failure("REQUEST_UNSUPPORTED", message, where="messages", hint=hint)
