"""The messages of a chat, in OpenAI's format; content is text, whole or in parts.

Raises RequestError for images, audio and files. Chat templates accept only text, so parts are
joined with line breaks. Fields that clients write into the history, but that no template reads,
are accepted and not used: otherwise a client could not send back the answer that it got.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from mealkit.errors import failure
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.reading import Request, unsupported
from mealkit.runtime.api.served_model import ServedModel

_OTHER_PARTS = ("image_url", "input_audio", "file", "video_url", "audio_url", "refusal")


Unused = Annotated[Any, Field(exclude=True)]
"""Any value, which the worker does not get."""
Empty = Annotated[
    None,
    BeforeValidator(lambda text: None if text == "" else text),
    WithJsonSchema({"enum": ["", None]}),
    Field(exclude=True),
]
"""Null or an empty text, which mean the same as leaving the field out."""
FunctionKind = Annotated[
    Literal["function"],
    BeforeValidator(lambda kind: "function" if kind is None else kind),
    WithJsonSchema({"enum": ["function", None]}),
]
"""The kind of a tool, or null: some clients write all fields of a call."""
Nothing = Annotated[
    None,
    BeforeValidator(lambda items: None if items == [] else items),
    WithJsonSchema({"enum": [[], None]}),
    Field(exclude=True),
]
"""Null or an empty list, which mean the same as leaving the field out."""
Absent = Annotated[None, Field(exclude=True)]
"""Only null, which means the same as leaving the field out."""


class Hinted(Request):
    """A part of a request that may have a hint for a prompt cache."""

    cache_control: Unused = None
    """A hint for a prompt cache. It is ignored: it never changes an answer."""
    prompt_cache_breakpoint: Unused = None
    """The same, as OpenAI names it. It is ignored."""


class TextPart(Hinted):
    """A part of a message's content."""

    type: Literal["text"]
    """The kind of part: always text."""
    text: str
    """The text."""


MAX_MESSAGES = 4096
_MAX_PARTS = 1024

Content = (
    str | Annotated[list[TextPart], Field(min_length=1, max_length=_MAX_PARTS, fail_fast=True)]
)
# Models and tools may answer with nothing.
_AnyContent = str | Annotated[list[TextPart], Field(max_length=_MAX_PARTS, fail_fast=True)]


class AnswerTextPart(TextPart):
    """A part of the model's own message, into which clients copy that message's other fields."""

    role: Unused = None
    """The role of the message's author, which the message has. It is ignored."""
    refusal: Empty = None
    """Only null, or an empty text: a refusal cannot be passed on to the model."""
    tool_calls: Unused = None
    """The tools that the model called, which the message has. They are ignored."""
    annotations: Unused = None
    """Notes about the text, such as sources. They are ignored: no chat template reads them."""


_AnswerContent = str | Annotated[list[AnswerTextPart], Field(max_length=_MAX_PARTS, fail_fast=True)]


class _Message(Hinted):
    id: Unused = None
    """The message's id. It is ignored: no chat template reads it."""


class _OthersMessage(_Message):
    """A message that the model did not write, with the fields of those that it wrote."""

    tool_calls: Nothing = None
    """Only null, or an empty list: only the model calls tools."""
    annotations: Nothing = None
    """Only null, or an empty list: only the model's texts have notes."""


class _Spoken(_OthersMessage):
    content: Content
    """The text, whole or in parts."""
    name: str | None = None
    """The name of the message's author, for chat templates that use it."""


class SystemMessage(_Spoken):
    """Instructions that apply to the whole conversation."""

    role: Literal["system"]
    """The role of the message's author."""


class DeveloperMessage(_Spoken):
    """Instructions, as newer clients name them; not every chat template supports the role."""

    role: Literal["developer"]
    """The role of the message's author."""


class UserMessage(_Spoken):
    """A message of the user."""

    role: Literal["user"]
    """The role of the message's author."""


class CalledFunction(Request):
    """A call of a function."""

    name: str
    """The function's name."""
    arguments: str | None = None
    """The arguments, as JSON; null or an empty text for none."""
    parsed_arguments: Unused = None
    """The arguments as OpenAI's client has read them. They are ignored."""
    provider_specific_fields: Unused = None
    """What LiteLLM has added. It is ignored."""


class ToolCall(Hinted):
    """A call of a tool."""

    id: str
    """The id of the call, which the tool's message repeats."""
    type: FunctionKind = "function"
    """The kind of tool: always a function."""
    function: CalledFunction
    """The function that was called."""
    index: Unused = None
    """The place of the call in a stream. It is ignored: the order counts."""
    extra_content: Unused = None
    """What Google's models add to a call. It is ignored."""
    provider_specific_fields: Unused = None
    """What LiteLLM has added. It is ignored."""


class AssistantMessage(_Message):
    """A message of the model: a text, calls of tools, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["content"], "properties": {"content": {"not": {"type": "null"}}}},
                {
                    "required": ["tool_calls"],
                    "properties": {"tool_calls": {"type": "array", "minItems": 1}},
                },
            ]
        }
    )

    role: Literal["assistant"]
    """The role of the message's author."""
    content: _AnswerContent | None = None
    """The text, whole or in parts."""
    name: str | None = None
    """The name of the message's author, for chat templates that use it."""
    tool_calls: Annotated[list[ToolCall], Field(max_length=_MAX_PARTS, fail_fast=True)] | None = (
        None
    )
    """The tools that the model called."""
    reasoning_content: str | None = None
    """The model's thoughts before its answer, for chat templates that use them."""
    reasoning: str | None = None
    """The same as ``reasoning_content``, by its newer name."""
    refusal: Empty = None
    """Only null, or an empty text: a refusal cannot be passed on to the model."""
    audio: Absent = None
    """Only null: answers are text."""
    function_call: Absent = None
    """Only null: the old name of ``tool_calls``."""
    annotations: Unused = None
    """Notes about the text, such as sources. They are ignored: no chat template reads them."""
    parsed: Unused = None
    """The content as OpenAI's client has read it. It is ignored."""
    reasoning_details: Unused = None
    """Thoughts in the format of one provider. They are ignored."""
    thinking_blocks: Unused = None
    """Thoughts in the format of one provider. They are ignored."""
    provider_specific_fields: Unused = None
    """What LiteLLM has added. It is ignored."""


class ToolMessage(_OthersMessage):
    """The result of a tool."""

    role: Literal["tool"]
    """The role of the message's author."""
    content: _AnyContent
    """The text, whole or in parts."""
    tool_call_id: str
    """The id of the call that the message answers."""
    name: str | None = None
    """The name of the function that was called, for chat templates that use it."""


def _as_it_is(message: Any) -> Any:
    """Return the message unchanged: running Python code here lets other threads run."""
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
    """Raise if any content is not text; called before all other checks.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the part.
    """
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else []):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind in _OTHER_PARTS:
                where = f"messages[{index}].content[{place}]"
                raise unsupported(f"{where} is of type {kind}, this kit accepts only text", where)


def messages_for_worker(messages: list[Any], served: ServedModel) -> list[dict[str, Any]]:
    """Return messages with each content joined into one text, and with the kit's system prompt.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, they use tools and the engine does not support them.
    """
    plain = [_plain(message, index, served) for index, message in enumerate(messages)]
    whole = served.system.placed(plain) if served.system else plain
    return [dict(message) for message in served.readable(whole)]


def _plain(message: Any, index: int, served: ServedModel) -> dict[str, Any]:
    values: dict[str, Any] = message.model_dump(exclude_none=True)
    if values["role"] == "tool":
        served.require(Feature.TOOLS, f"messages[{index}].role")
    if not values.get("tool_calls", True):
        del values["tool_calls"]
    if not values.keys() & {"content", "tool_calls"}:
        where = f"messages[{index}].content"
        raise failure("REQUEST_INVALID", f"{where} is missing", where=where)
    if "tool_calls" in values:
        served.require(Feature.TOOLS, f"messages[{index}].tool_calls")
        for call in values["tool_calls"]:
            call["function"]["arguments"] = call["function"].get("arguments", "").strip() or "{}"
    if thoughts := values.get("reasoning_content") or values.get("reasoning"):
        # Templates read the one name or the other.
        values |= {"reasoning_content": thoughts, "reasoning": thoughts}
    content = values.get("content")
    if isinstance(content, list):
        values["content"] = "\n".join(part["text"] for part in content)
    return values
