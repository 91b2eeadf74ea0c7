"""Reads calls of tools from an answer's text, in Hermes' format: one JSON object between tags.

<tool_call>
{"name": "f", "arguments": {"x": 1}}
</tool_call>

(https://github.com/NousResearch/Hermes-Function-Calling). An invalid call, or a call of
an unknown function, stays text. Standard library only.
"""

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from mealkit.worker.generation_values import (
    Called,
    ChosenToken,
    Finished,
    FunctionCall,
    GenerationEvent,
    Written,
)

CLOSING_TAG = "</tool_call>"

_OPEN = "<tool_call>"
_LARGEST = sys.float_info.max
_CLOSE = CLOSING_TAG


def with_calls(
    events: Iterator[Written | Finished], names: Collection[str]
) -> Iterator[GenerationEvent]:
    """Convert the events of one answer: calls of these functions become events."""
    reader = ToolReader(names)
    for event in events:
        if isinstance(event, Written):
            yield from _told(reader.feed(event.text), event.index, event.tokens)
        else:
            # A call is whole if it ends at its closing tag, which is the stop text of a single one.
            is_cut = event.reason == "length" or event.stop_text not in {None, CLOSING_TAG}
            rest = reader.end(is_cut=is_cut)
            yield from _told(rest, event.index, ())
            is_call = event.reason == "stop" and reader.calls
            yield replace(event, reason="tool_calls") if is_call else event


def _told(
    items: Iterator[str | FunctionCall], index: int, tokens: Sequence[ChosenToken]
) -> Iterator[GenerationEvent]:
    for item in items:
        if isinstance(item, str):
            yield Written(index, item, tokens)
            tokens = ()
        else:
            yield Called(index, item)
    if tokens:
        yield Written(index, "", tokens)


def _between_tags(call: str) -> str:
    """Return the JSON of a call, whose closing tag may be incomplete."""
    rest = call.removeprefix(_OPEN)
    tags = (_CLOSE[:length] for length in range(len(_CLOSE), 0, -1))
    return rest.removesuffix(next((tag for tag in tags if rest.endswith(tag)), ""))


def _begins_call(text: str) -> bool:
    return bool(text) and (text.startswith(_OPEN) or _OPEN.startswith(text))


def _finite(number: str) -> float:
    """Return the nearest number that JSON can write: 1e999 is valid JSON."""
    return max(-_LARGEST, min(_LARGEST, float(number)))


class ToolReader:
    """Splits one answer into text and calls, while it is generated."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self.calls = 0
        """The number of calls so far."""

    def feed(self, text: str) -> Iterator[str | FunctionCall]:
        """Add text; yield complete calls and certain text, both without surrounding spaces."""
        self._held += text
        while self._held:
            start = self._held.find(_OPEN)
            if start < 0:
                yield from self._text(len(self._held) - self._maybe_open())
                return
            yield from self._text(start)
            end = self._held.find(_CLOSE)
            if end < 0:
                return
            written, self._held = self._cut(end + len(_CLOSE))
            yield self._call_in(written) or written

    def end(self, *, is_cut: bool = False) -> Iterator[str | FunctionCall]:
        """Yield the rest: a call that lacks only its closing tag or the tag's end, or text.

        ``is_cut``: the answer has reached its maximum number of tokens, or a stop text. The
        beginning of a call, or of its tag, is then dropped, because it is not text.
        """
        rest, self._held = self._held, ""
        if call := self._call_in(rest):
            yield call
        elif is_cut and _begins_call(rest.lstrip()):
            return
        elif rest.strip() or (rest and not self.calls):
            yield rest

    def _text(self, length: int) -> Iterator[str]:
        """Yield text without the spaces at its end, which are dropped if a call follows."""
        if kept := len(self._held[:length].rstrip()):
            text, self._held = self._cut(kept)
            yield text

    def _cut(self, length: int) -> tuple[str, str]:
        return self._held[:length], self._held[length:]

    def _call_in(self, written: str) -> FunctionCall | None:
        content = written.strip()
        if not content.startswith(_OPEN):
            return None
        try:
            found = json.loads(_between_tags(content), parse_float=_finite)
            name, arguments = found["name"], found["arguments"]
            text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(arguments, dict) or not isinstance(name, str) or name not in self._names:
            return None
        self.calls += 1
        return FunctionCall(name, text)

    def _maybe_open(self) -> int:
        """Return how many of the last characters are the beginning of the opening tag."""
        return next(
            (
                length
                for length in range(min(len(_OPEN) - 1, len(self._held)), 0, -1)
                if self._held.endswith(_OPEN[:length])
            ),
            0,
        )
