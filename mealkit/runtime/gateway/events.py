"""Passes server-sent events from the worker to a caller, as whole events.

Removes the chunk with the number of tokens, unless the caller requested it, and the worker's
errors, because the gateway writes its own. Records whether the last event has come.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from mealkit.errors import Problem, failure
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.worker_client.engine_errors import problems_of_error

DONE = b"data: [DONE]\n\n"

# An event contains one piece of an answer, which is never this large.
MAX_EVENT_BYTES = 32 * 1024 * 1024

_DATA = b"data:"
# Within a JSON string the quotes would be escaped, so that these bytes do not occur.
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ERROR = re.compile(rb'(?:\A|\n)data: ?\{\s*"error"\s*:')


class Events:
    """The events of one stream."""

    def __init__(self, *, counts: bool, wants_usage: bool, engine: EngineTraits) -> None:
        """Begin; with ``counts`` a chunk has the tokens, which ``wants_usage`` passes on."""
        self._counts = counts
        self._wants_usage = wants_usage
        self._engine = engine
        self._rest = b""
        self.usage: dict[str, Any] | None = None
        """The number of tokens, after the chunk that has it."""
        self.problems: Sequence[Problem] = ()
        """The problems of the worker's error, if it sent one."""
        self.is_done = False
        """Whether the last event has come."""

    def take(self, piece: bytes) -> bytes:
        """Take received bytes; return the whole events for the caller.

        Raises:
            EngineError: ``ENGINE_ANSWER``, an event has no end.
        """
        data = self._rest + piece if self._rest else piece
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            data, self._rest = b"", data
            self._limit()
            return b""
        if end < len(data):
            data, self._rest = data[:end], data[end:]
            self._limit()
        else:
            self._rest = b""
        if (self._counts and _USAGE.search(data)) or _ERROR.search(data):
            data = self._sift(data)
        if data.endswith(DONE):
            self.is_done = True
        return data

    def _sift(self, data: bytes) -> bytes:
        kept = []
        for event in data.split(b"\n\n")[:-1]:
            form = _form(event)
            if isinstance(form.get("error"), dict):
                self.problems = problems_of_error(form, 200, self._engine)
                break
            if isinstance(usage := form.get("usage"), dict):
                self.usage = usage
                if form.get("choices") == [] and not self._wants_usage:
                    continue
            kept.append(event + b"\n\n")
        return b"".join(kept)

    def _limit(self) -> None:
        if len(self._rest) > MAX_EVENT_BYTES:
            raise failure("ENGINE_ANSWER", f"an event has more than {MAX_EVENT_BYTES} bytes")


def _form(event: bytes) -> dict[str, Any]:
    try:
        form = json.loads(event.removeprefix(_DATA)) if event.startswith(_DATA) else {}
    except (ValueError, RecursionError):
        return {}
    return form if isinstance(form, dict) else {}
