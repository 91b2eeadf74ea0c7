"""The messages of a chat, in OpenAI's shape; content is text, whole or in parts.

Refuses images, sound and files. A model's chat template takes text, so parts are joined by line
breaks.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from mealkit.errors import failure
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.reading import Request, unsupported
from mealkit.runtime.api.served_model import ServedModel

_OTHER_PARTS = ("image_url", "input_audio", "file", "video_url", "audio_url", "refusal")


class TextPart(Request):
    """A part of a message's content."""

    type: Literal["text"]
    """Parts are text."""
    text: str
    """The text."""


MAX_MESSAGES = 4096
_MAX_PARTS = 1024

Content = (
    str | Annotated[list[TextPart], Field(min_length=1, max_length=_MAX_PARTS, fail_fast=True)]
)


class _Spoken(Request):
    content: Content
    """The text, whole or in parts."""
    name: str | None = None
    """The speaker's name, if the model's chat template has a place for it."""


class SystemMessage(_Spoken):
    """Instructions that stand above the conversation."""

    role: Literal["system"]
    """Who speaks."""


class DeveloperMessage(_Spoken):
    """Instructions, as newer clients name them; what a template makes of the role is its own."""

    role: Literal["developer"]
    """Who speaks."""


class UserMessage(_Spoken):
    """What the user says."""

    role: Literal["user"]
    """Who speaks."""


class CalledFunction(Request):
    """A call of a function."""

    name: str
    """The function's name."""
    arguments: str
    """The arguments, as JSON."""


class ToolCall(Request):
    """A call of a tool."""

    id: str
    """The call's name, which the tool's message repeats."""
    type: Literal["function"]
    """Tools are functions."""
    function: CalledFunction
    """What was called."""


class AssistantMessage(Request):
    """What the model said: a text, or calls of tools, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("content", "tool_calls")
            ]
        }
    )

    role: Literal["assistant"]
    """Who speaks."""
    content: Content | None = None
    """The text, whole or in parts."""
    name: str | None = None
    """The speaker's name, if the model's chat template has a place for it."""
    tool_calls: (
        Annotated[list[ToolCall], Field(min_length=1, max_length=_MAX_PARTS, fail_fast=True)] | None
    ) = None
    """The tools that it called."""


class ToolMessage(Request):
    """What a tool answered."""

    role: Literal["tool"]
    """Who speaks."""
    content: Content
    """The text, whole or in parts."""
    tool_call_id: str
    """Which call it answers."""


def _as_it_is(message: Any) -> Any:
    """Return a message; Python's own code between two of them lets another thread run."""
    return message


Message = Annotated[
    Annotated[
        SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage,
        Field(discriminator="role"),
    ],
    BeforeValidator(_as_it_is),
]
Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]


def refuse_other_media(messages: Any) -> None:
    """Refuse content that is not text, before anything else is said about it.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the part.
    """
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else []):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind in _OTHER_PARTS:
                where = f"messages[{index}].content[{place}]"
                raise unsupported(f"{where} is of type {kind}: this kit takes text", where)


def messages_for_worker(messages: list[Any], served: ServedModel) -> list[dict[str, Any]]:
    """Return messages with their content in one piece.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, they tell of tools and the engine knows none.
    """
    return [_plain(message, index, served) for index, message in enumerate(messages)]


def _plain(message: Any, index: int, served: ServedModel) -> dict[str, Any]:
    values: dict[str, Any] = message.model_dump(exclude_none=True)
    if values["role"] == "tool":
        served.require(Feature.TOOLS, f"messages[{index}].role")
    if not values.keys() & {"content", "tool_calls"}:
        where = f"messages[{index}].content"
        raise failure("REQUEST_INVALID", f"{where} is missing", where=where)
    if "tool_calls" in values:
        served.require(Feature.TOOLS, f"messages[{index}].tool_calls")
    content = values.get("content")
    if isinstance(content, list):
        values["content"] = "\n".join(part["text"] for part in content)
    return values
