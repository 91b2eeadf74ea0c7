"""The input of ``/v1/responses``: a text, or a list of items, as the messages of a chat.

Raises RequestError for items that a kit cannot honour: those of built-in tools, references to
stored items, images, audio and files. Reasoning items are dropped, because a kit's answers have
none and other models' reasoning is encrypted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from mealkit.errors import failure
from mealkit.runtime.api.messages import MAX_MESSAGES, Hinted
from mealkit.runtime.api.reading import Request, unsupported
from mealkit.untrusted import shown

_MAX_PARTS = 1024
_TEXT_PARTS = frozenset({"input_text", "output_text"})


class InputText(Hinted):
    """A text that the caller wrote."""

    type: Literal["input_text"]
    """The kind of part."""
    text: str
    """The text."""


class OutputText(Request):
    """A text that a model wrote, as it is in an answer."""

    type: Literal["output_text"]
    """The kind of part."""
    text: str
    """The text."""
    annotations: list[Any] | None = None
    """Ignored: it is not a part of the text."""
    logprobs: list[Any] | None = None
    """Ignored: it is not a part of the text."""
    parsed: Any = None
    """Ignored: the text, as a client's helper has parsed it."""


TextPart = Annotated[InputText | OutputText, Field(discriminator="type")]
Texts = str | Annotated[list[TextPart], Field(max_length=_MAX_PARTS, fail_fast=True)]


class _Item(Request):
    id: str | None = None
    """The item's id. It is ignored: it never changes an answer."""
    status: str | None = None
    """The item's status. It is ignored: it never changes an answer."""


class InputMessage(_Item):
    """A message of the conversation."""

    # Models may answer with nothing; the chat refuses the others.
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"role": {"const": "assistant"}}},
            "else": {"properties": {"content": {"minItems": 1}}},
        }
    )

    type: Literal["message"] | None = None
    """The kind of item; a message may omit it."""
    role: Literal["user", "assistant", "system", "developer"]
    """The role of the message's author."""
    content: Texts
    """The text, whole or in parts."""
    phase: str | None = None
    """The part of an answer. It is ignored: a kit's answers have one part."""


class InputCall(_Item):
    """A function that the model called."""

    type: Literal["function_call"]
    """The kind of item."""
    call_id: str
    """The id of the call, which the function's output repeats."""
    name: str
    """The function's name."""
    arguments: str | None = None
    """The arguments, as JSON; null or an empty text for none."""
    parsed_arguments: Any = None
    """Ignored: the arguments, as a client's helper has parsed them."""
    caller: Any = None
    """Ignored: at OpenAI, a program of a built-in tool may call a function."""


class InputCallOutput(_Item):
    """The output of a function that the model called."""

    type: Literal["function_call_output"]
    """The kind of item."""
    call_id: str
    """The id of the call."""
    output: Texts
    """The text, whole or in parts."""
    name: str | None = None
    """The function's name. It is ignored: the call has it."""
    caller: Any = None
    """Ignored: the call has it."""


class InputReasoning(_Item):
    """A model's reasoning. It is dropped: a kit's answers have none."""

    type: Literal["reasoning"]
    """The kind of item."""
    summary: list[Any] | None = None
    """Ignored."""
    content: list[Any] | None = None
    """Ignored."""
    encrypted_content: str | None = None
    """Ignored."""


def _kind(item: Any) -> Any:
    """Return an item's type; an item without one is a message."""
    if isinstance(item, dict):
        kind = item.get("type")
        return "message" if kind is None else kind
    return getattr(item, "type", None)


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[InputCall, Tag("function_call")]
    | Annotated[InputCallOutput, Tag("function_call_output")]
    | Annotated[InputReasoning, Tag("reasoning")],
    Discriminator(_kind),
]
_KINDS = frozenset({"message", "function_call", "function_call_output", "reasoning"})
_REASONING = {"properties": {"type": {"const": "reasoning"}}, "required": ["type"]}
InputItems = Annotated[
    list[InputItem],
    Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        fail_fast=True,
        json_schema_extra={"contains": {"not": _REASONING}},
    ),
]


@dataclass(slots=True)
class Conversation:
    """The messages of a chat, each with its place in the request, such as ``input[2]``."""

    messages: list[dict[str, Any]]
    places: list[str]

    def add(self, message: dict[str, Any], place: str) -> None:
        """Append a message."""
        self.messages.append(message)
        self.places.append(place)


def refuse_other_items(items: Any) -> None:
    """Raise if an item, or a part of one, is not text; called before all other checks.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the item or part.
    """
    for index, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, dict):
            continue
        where = f"input[{index}]"
        kind = _kind(item)
        if kind == "item_reference":
            raise unsupported(
                f"{where} refers to a stored item, and this kit stores nothing",
                where,
                "send the item itself: in the AI SDK set providerOptions.openai.store to false",
            )
        if isinstance(kind, str) and kind not in _KINDS:
            raise unsupported(f"{where} is of type {shown(kind)}, expected {_words(_KINDS)}", where)
        for name in ("content", "output"):
            _refuse_other_parts(item.get(name) if kind != "reasoning" else None, f"{where}.{name}")


def conversation_of(instructions: str | None, items: str | list[Any]) -> Conversation:
    """Return the messages of a chat; an answer's text and its calls become one message.

    Raises:
        RequestError: ``REQUEST_INVALID``, no item is left when the reasoning is dropped.
    """
    found = Conversation([], [])
    if instructions:
        found.add({"role": "system", "content": instructions}, "instructions")
    if isinstance(items, str):
        found.add({"role": "user", "content": items}, "input")
        return found
    if all(isinstance(item, InputReasoning) for item in items):
        raise failure("REQUEST_INVALID", "input has only reasoning", where="input")
    for index, item in enumerate(items):
        _add(item, found, f"input[{index}]")
    return found


def _add(item: Any, found: Conversation, place: str) -> None:
    last = found.messages[-1] if found.messages else {}
    is_answer = last.get("role") == "assistant"
    match item:
        case InputMessage() if item.role == "assistant" and is_answer and "content" not in last:
            last["content"] = _content(item.content)
        case InputMessage():
            found.add({"role": item.role, "content": _content(item.content)}, place)
        case InputCall():
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            if is_answer:
                last.setdefault("tool_calls", []).append(call)
            else:
                found.add({"role": "assistant", "tool_calls": [call]}, place)
        case InputCallOutput():
            content = _content(item.output)
            found.add({"role": "tool", "tool_call_id": item.call_id, "content": content}, place)
        case _:  # reasoning
            return


def _content(texts: Any) -> Any:
    if isinstance(texts, str):
        return texts
    return [{"type": "text", "text": part.text} for part in texts]


def _refuse_other_parts(content: Any, where: str) -> None:
    for place, kind in _kinds_of_parts(content):
        if kind not in _TEXT_PARTS:
            named = f"{where}[{place}]"
            expected = "this kit accepts only text: input_text or output_text"
            raise unsupported(f"{named} is of type {shown(kind)}, {expected}", named)


def _kinds_of_parts(content: Any) -> Iterator[tuple[int, str]]:
    for place, part in enumerate(content if isinstance(content, list) else []):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(kind, str):
            yield place, kind


def _words(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
