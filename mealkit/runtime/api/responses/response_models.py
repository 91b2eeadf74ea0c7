"""The models of the answers of ``/v1/responses``, for the OpenAPI description."""

from typing import Any, Literal

from mealkit.runtime.api.reading import AnswerPart


class ResponseItem(AnswerPart):
    """A text of the model, or a call of a function."""

    id: str
    """The item's id."""
    type: Literal["message", "function_call"]
    """The kind of item."""
    status: Literal["in_progress", "completed", "incomplete"]
    """Whether the item is whole."""
    role: Literal["assistant"] | None = None
    """The author; only of a message."""
    content: list[dict[str, Any]] | None = None
    """The text, in a part of type output_text; only of a message."""
    call_id: str | None = None
    """The id that the function's output repeats; only of a call."""
    name: str | None = None
    """The function's name; only of a call."""
    arguments: str | None = None
    """The arguments, as JSON; only of a call."""


class ResponseUsage(AnswerPart):
    """The number of tokens of a request and its answer."""

    input_tokens: int
    """The tokens of the request, special tokens included."""
    input_tokens_details: dict[str, Any]
    """The cached tokens of the request: always 0."""
    output_tokens: int
    """The tokens of the answer."""
    output_tokens_details: dict[str, Any]
    """The tokens of reasoning: always 0."""
    total_tokens: int
    """The tokens of request and answer together."""


class ResponseAnswer(AnswerPart):
    """The answer to a conversation; it also repeats the request's parameters."""

    id: str
    """The answer's id."""
    object: Literal["response"]
    """The kind of answer."""
    created_at: int
    """When the answer was created, in seconds since 1970."""
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    """Whether the answer is whole."""
    error: dict[str, Any] | None
    """Why the answer failed; only in a stream."""
    incomplete_details: dict[str, Any] | None
    """Why the answer is incomplete, such as max_output_tokens."""
    model: str
    """The model's name."""
    output: list[ResponseItem]
    """The model's texts and calls, in their order."""
    store: Literal[False]
    """Whether the answer is stored: never."""
    usage: ResponseUsage | None
    """The number of tokens; null before the answer ends."""


class ResponseEvent(AnswerPart):
    """An event of a stream; the last one is response.completed, .incomplete or .failed."""

    type: str
    """The kind of event, such as response.output_text.delta."""
    sequence_number: int
    """The event's number in the stream, from 0."""
    response: ResponseAnswer | None = None
    """The answer so far, in the first and last events."""
    item: ResponseItem | None = None
    """The item that begins or ends."""
    output_index: int | None = None
    """The item's place in the output."""
    item_id: str | None = None
    """The id of the item that the event is about."""
    delta: str | None = None
    """The addition to the item's text or arguments."""
