"""Writes generated text in OpenAI's formats: as whole answers, or chunk by chunk.

Standard library only. Formats: https://platform.openai.com/docs/api-reference/chat/object,
.../chat/streaming and .../completions/object.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, assert_never

from mealkit.worker.event_stream import DONE, event
from mealkit.worker.generation_values import (
    Called,
    ChosenToken,
    Finished,
    FunctionCall,
    GenerationEvent,
    Likelihood,
    Started,
    Written,
)
from mealkit.worker.interface import Cancelled


@dataclass(slots=True)
class PartialAnswer:
    """The received part of one answer."""

    text: list[str] = field(default_factory=list)
    tokens: list[ChosenToken] = field(default_factory=list)
    calls: list[FunctionCall] = field(default_factory=list)
    reason: str | None = None


class AnswerFormat(Protocol):
    """The format of an endpoint's answers."""

    def head(self, *, is_chunk: bool) -> dict[str, Any]:
        """Return the first fields of every chunk, or of the whole answer."""

    def choice(self, index: int, answer: PartialAnswer) -> Mapping[str, Any]:
        """Return one whole answer."""

    def opening(self, index: int) -> Mapping[str, Any] | None:
        """Return the chunk before an answer's first text; None without one."""

    def delta(self, index: int, answer: PartialAnswer) -> Mapping[str, Any]:
        """Return the chunk for the text since the last one."""


def whole(events: Iterator[GenerationEvent], form: AnswerFormat) -> bytes:
    """Wait for all answers and return them as one body.

    Raises:
        Cancelled: the caller has disconnected.
        RequestError, EngineError: the errors of the events.
    """
    answers: dict[int, PartialAnswer] = {}
    usage = _Usage()
    for item in events:
        usage.note(item)
        if not isinstance(item, Started):
            _add(item, answers.setdefault(item.index, PartialAnswer()))
    if not all(answer.reason for answer in answers.values()) or not answers:
        raise Cancelled
    choices = [form.choice(index, answers[index]) for index in sorted(answers)]
    body = {**form.head(is_chunk=False), "choices": choices, "usage": usage.as_json()}
    return json.dumps(body).encode()


def streamed(
    events: Iterator[GenerationEvent], form: AnswerFormat, *, usage: bool
) -> Iterator[bytes]:
    """Yield a chunk for each event; ``usage``: add the number of tokens at the end.

    Raises:
        Cancelled: the caller has disconnected.
        RequestError, EngineError: the errors of the events.
    """
    head = json.dumps(form.head(is_chunk=True))[:-1]
    counted = _Usage()
    opened: set[int] = set()
    last: GenerationEvent | None = None
    try:
        for last in events:
            counted.note(last)
            if isinstance(last, Started):
                continue
            if last.index not in opened:
                opened.add(last.index)
                if opening := form.opening(last.index):
                    yield _chunk(head, [opening])
            answer = PartialAnswer()
            _add(last, answer)
            yield _chunk(head, [form.delta(last.index, answer)])
    finally:
        if isinstance(events, Generator):
            events.close()
    if not isinstance(last, Finished):
        raise Cancelled
    if usage:
        yield _chunk(head, [], counted.as_json())
    yield DONE


class ChatFormat:
    """The answers of ``/v1/chat/completions``."""

    def __init__(self, model_name: str, *, has_likelihoods: bool) -> None:
        self._head = _head("chatcmpl", model_name)
        self._has_likelihoods = has_likelihoods
        self._calls: Counter[int] = Counter()

    def head(self, *, is_chunk: bool) -> dict[str, Any]:
        """Return the first fields of every chunk, or of the whole answer."""
        return {**self._head, "object": f"chat.completion{'.chunk' if is_chunk else ''}"}

    def choice(self, index: int, answer: PartialAnswer) -> Mapping[str, Any]:
        """Return one whole answer, with text, calls, or both."""
        content = "".join(answer.text)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if answer.calls:
            message["content"] = content or None
            message["tool_calls"] = [_call(call) for call in answer.calls]
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(answer),
            "finish_reason": answer.reason,
        }

    def opening(self, index: int) -> Mapping[str, Any] | None:
        """Return the chunk with the role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None, None)

    def delta(self, index: int, answer: PartialAnswer) -> Mapping[str, Any]:
        """Return the chunk for the text since the last one."""
        delta: dict[str, Any] = {}
        if answer.text:
            delta["content"] = "".join(answer.text)
        if answer.calls:
            first = self._calls[index]
            self._calls[index] += len(answer.calls)
            delta["tool_calls"] = [
                {"index": place, **_call(call)} for place, call in enumerate(answer.calls, first)
            ]
        logprobs = self._logprobs(answer) if answer.tokens else None
        return self._chunk(index, delta, logprobs, answer.reason)

    @staticmethod
    def _chunk(index: int, delta: Any, logprobs: Any, reason: str | None) -> Mapping[str, Any]:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}

    def _logprobs(self, answer: PartialAnswer) -> Any:
        if not self._has_likelihoods:
            return None
        content = [
            {
                **_likelihood(token.chosen),
                "top_logprobs": [_likelihood(other) for other in token.alternatives],
            }
            for token in answer.tokens
        ]
        return {"content": content, "refusal": None}


class CompletionFormat:
    """The answers of ``/v1/completions``."""

    def __init__(self, model_name: str, *, has_likelihoods: bool) -> None:
        self._head = _head("cmpl", model_name)
        self._has_likelihoods = has_likelihoods
        self._offsets: Counter[int] = Counter()

    def head(self, *, is_chunk: bool) -> dict[str, Any]:  # noqa: ARG002 - both are the same here
        """Return the first fields of every chunk, or of the whole answer."""
        return {**self._head, "object": "text_completion"}

    def opening(self, index: int) -> Mapping[str, Any] | None:  # noqa: ARG002 - not needed
        """Return None: a completion has no role."""
        return None

    def choice(self, index: int, answer: PartialAnswer) -> Mapping[str, Any]:
        """Return one whole answer."""
        return self.delta(index, answer)

    def delta(self, index: int, answer: PartialAnswer) -> Mapping[str, Any]:
        """Return the chunk for the text since the last one."""
        return {
            "index": index,
            "text": "".join(answer.text),
            "logprobs": self._logprobs(index, answer.tokens) if self._has_likelihoods else None,
            "finish_reason": answer.reason,
        }

    def _logprobs(self, index: int, tokens: Sequence[ChosenToken]) -> Mapping[str, Any]:
        offsets = []
        for token in tokens:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(_text(token.chosen))
        return {
            "tokens": [_text(token.chosen) for token in tokens],
            "token_logprobs": [_logprob(token.chosen) for token in tokens],
            # The chosen token is always included, as with OpenAI.
            "top_logprobs": [
                {_text(item): _logprob(item) for item in (*token.alternatives, token.chosen)}
                for token in tokens
            ],
            "text_offset": offsets,
        }


class _Usage:
    def __init__(self) -> None:
        self._prompt = 0
        self._completion = 0

    def note(self, item: GenerationEvent) -> None:
        if isinstance(item, Started):
            self._prompt = item.prompt_tokens
        elif isinstance(item, Finished):
            self._completion += item.tokens

    def as_json(self) -> dict[str, int]:
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
        }


def _add(item: Written | Called | Finished, answer: PartialAnswer) -> None:
    match item:
        case Written():
            answer.text.append(item.text)
            answer.tokens.extend(item.tokens)
        case Called():
            answer.calls.append(item.call)
        case Finished():
            answer.reason = item.reason
        case _:
            assert_never(item)


def _chunk(head: str, choices: Any, usage: Any = None) -> bytes:
    more = "" if usage is None else f', "usage": {json.dumps(usage)}'
    return event(f'{head}, "choices": {json.dumps(choices)}{more}}}')


def _head(prefix: str, model_name: str) -> dict[str, Any]:
    made = {"id": f"{prefix}-{secrets.token_hex(12)}", "object": ""}
    return {**made, "created": int(time.time()), "model": model_name}


def _call(call: FunctionCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def _likelihood(item: Likelihood) -> dict[str, Any]:
    return {"token": _text(item), "logprob": _logprob(item), "bytes": list(item.piece)}


def _text(item: Likelihood) -> str:
    return item.piece.decode(errors="replace")


def _logprob(item: Likelihood) -> float:
    # JSON has no infinity; OpenAI writes this number for very unlikely tokens.
    return max(item.logprob, -9999.0)
