"""Converts the events of a streamed chat into those of a streamed response.

Each event has a type and the next ``sequence_number``. Raises EngineError for events that are not
those of a chat. Format: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.errors import failure
from mealkit.runtime.api.responses.response_object import (
    call_item,
    incomplete_reason,
    message_item,
    new_id,
    response,
    text_part,
    unfinished,
)
from mealkit.runtime.api.usage import TokenUsage, usage_in
from mealkit.worker.event_stream import DONE

_DATA = b"data:"
_Event = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class _Text:
    """The message that is being written."""

    index: int
    """The item's place in the output."""
    name: str = field(default_factory=lambda: new_id("msg"))
    pieces: list[str] = field(default_factory=list)
    likelihoods: list[Any] = field(default_factory=list)

    def item(self, status: str) -> dict[str, Any]:
        return message_item(self.name, "".join(self.pieces), self.likelihoods, status)

    def place(self) -> dict[str, Any]:
        return {"item_id": self.name, "output_index": self.index, "content_index": 0}

    def open(self) -> Iterator[_Event]:
        yield "response.output_item.added", _with_item(self, "in_progress")
        yield "response.content_part.added", {**self.place(), "part": text_part("", [])}

    def add(self, text: str, likelihoods: list[Any]) -> Iterator[_Event]:
        self.pieces.append(text)
        self.likelihoods += likelihoods
        more = {"delta": text, "logprobs": likelihoods}
        yield "response.output_text.delta", {**self.place(), **more}

    def close(self, status: str) -> Iterator[_Event]:
        text = "".join(self.pieces)
        more = {"text": text, "logprobs": self.likelihoods}
        yield "response.output_text.done", {**self.place(), **more}
        part = text_part(text, self.likelihoods)
        yield "response.content_part.done", {**self.place(), "part": part}
        yield "response.output_item.done", _with_item(self, status)


@dataclass(slots=True)
class _Call:
    """The call of a function that is being written."""

    index: int
    """The item's place in the output."""
    call_id: str
    function: str
    number: Any
    """The call's number in the chat's answer."""
    name: str = field(default_factory=lambda: new_id("fc"))
    pieces: list[str] = field(default_factory=list)

    def item(self, status: str) -> dict[str, Any]:
        return call_item(self.name, self.call_id, self.function, "".join(self.pieces), status)

    def place(self) -> dict[str, Any]:
        return {"item_id": self.name, "output_index": self.index}

    def open(self) -> Iterator[_Event]:
        yield "response.output_item.added", _with_item(self, "in_progress")

    def add(self, arguments: str) -> Iterator[_Event]:
        self.pieces.append(arguments)
        yield "response.function_call_arguments.delta", {**self.place(), "delta": arguments}

    def close(self, status: str) -> Iterator[_Event]:
        more = {"name": self.function, "arguments": "".join(self.pieces)}
        yield "response.function_call_arguments.done", {**self.place(), **more}
        yield "response.output_item.done", _with_item(self, status)


class ResponseStream:
    """The events of one response."""

    def __init__(self, echoed: Mapping[str, Any]) -> None:
        """Begin; ``echoed``: the fields of the response that repeat its request."""
        self._echoed = echoed
        self._name = new_id("resp")
        self._created = int(time.time())
        self._number = 0
        self._has_begun = False
        self._output: list[dict[str, Any]] = []
        self._item: _Text | _Call | None = None
        self._finish_reason: str | None = None
        self._usage = TokenUsage()

    def take(self, events: bytes) -> bytes:
        """Convert whole events of a chat; return those of the response, or none yet.

        Raises:
            EngineError: ``ENGINE_ANSWER``, an event is not one of a chat.
        """
        found = []
        for event in events.split(b"\n\n")[:-1]:
            try:
                found += [self._written(*item) for item in self._events(event)]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                message = "the engine's stream has an event that is not one of a chat"
                raise failure("ENGINE_ANSWER", message) from error
        return b"".join(found)

    def fail(self, error: Mapping[str, Any]) -> bytes:
        """Return the last events of a response that fails."""
        # Clients differ in which of the two they read, and in where an error event has its fields.
        told = {name: error.get(name) for name in ("code", "message", "param")}
        failed = {
            **unfinished(self._name, self._created, self._echoed),
            "status": "failed",
            "error": {"code": "server_error", "message": error.get("message")},
            "output": self._output,
        }
        events = [
            *self._begin(),
            ("error", {**told, "error": error}),
            ("response.failed", {"response": failed}),
        ]
        return b"".join(self._written(*event) for event in events)

    def _events(self, event: bytes) -> Iterator[_Event]:
        if not event.startswith(_DATA):
            return
        yield from self._begin()
        if event == DONE.strip():
            yield from self._end()
            return
        chunk = json.loads(event[len(_DATA) :])
        if chunk.get("usage"):
            self._usage = usage_in(chunk["usage"])
        for choice in chunk["choices"]:
            yield from self._choice(choice)

    def _begin(self) -> Iterator[_Event]:
        if self._has_begun:
            return
        self._has_begun = True
        begun = unfinished(self._name, self._created, self._echoed)
        yield "response.created", {"response": begun}
        yield "response.in_progress", {"response": begun}

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[_Event]:
        delta = choice["delta"]
        if text := delta.get("content"):
            likelihoods = (choice.get("logprobs") or {}).get("content") or []
            item = self._item
            if not isinstance(item, _Text):
                item = _Text(self._next_place())
                yield from self._open(item)
            yield from item.add(text, likelihoods)
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)
        if choice.get("finish_reason"):
            self._finish_reason = choice["finish_reason"]

    def _call(self, call: Mapping[str, Any]) -> Iterator[_Event]:
        function, number = call["function"], call.get("index")
        item = self._item
        if not isinstance(item, _Call) or item.number != number:
            item = _Call(self._next_place(), call["id"], function["name"], number)
            yield from self._open(item)
        if arguments := function.get("arguments"):
            yield from item.add(arguments)

    def _next_place(self) -> int:
        return len(self._output) + (self._item is not None)

    def _open(self, item: _Text | _Call) -> Iterator[_Event]:
        yield from self._close("completed")
        self._item = item
        yield from item.open()

    def _close(self, status: str) -> Iterator[_Event]:
        if self._item is not None:
            yield from self._item.close(status)
            self._output.append(self._item.item(status))
            self._item = None

    def _end(self) -> Iterator[_Event]:
        if self._item is None and not self._output:
            yield from self._open(_Text(0))
        reason = incomplete_reason(self._finish_reason)
        status = "incomplete" if reason else "completed"
        yield from self._close(status)
        whole = response(self._name, self._created, self._echoed, self._output, reason, self._usage)
        yield f"response.{status}", {"response": whole}

    def _written(self, kind: str, fields: Mapping[str, Any]) -> bytes:
        content = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        data = json.dumps(content, separators=(",", ":"))
        return f"event: {kind}\ndata: {data}\n\n".encode()


def _with_item(item: _Text | _Call, status: str) -> dict[str, Any]:
    return {"output_index": item.index, "item": item.item(status)}
