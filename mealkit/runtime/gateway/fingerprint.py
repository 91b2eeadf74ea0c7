"""Adds OpenAI's ``system_fingerprint`` to answers: the short recipe digest.

Clients log it with an answer, so that answers of two recipes can be told apart. An engine's own
fingerprint, which does not cover weights and prompts, is replaced. No I/O.
https://platform.openai.com/docs/api-reference/chat/object
"""

import re

from mealkit.digest import Digest

# Within a JSON string the quotes would be escaped, so that these bytes do not occur.
_OWN = re.compile(rb'\s*"system_fingerprint"\s*:\s*(?:null|"[^"\\]*")\s*,|'
                  rb',\s*"system_fingerprint"\s*:\s*(?:null|"[^"\\]*")')  # fmt: skip
_OBJECT, _EVENT, _NEXT = b"{", b"data: {", b"\n\ndata: {"


class Fingerprint:
    """The fingerprint of one recipe."""

    def __init__(self, recipe: Digest) -> None:
        self._field = b'"system_fingerprint": "fp_%b", ' % recipe.short.encode()

    def of_whole(self, body: bytes) -> bytes:
        """Return an answer's body with the fingerprint."""
        return _OBJECT + self._field + _without_own(body).removeprefix(_OBJECT)

    def of_events(self, data: bytes) -> bytes:
        """Return whole events with the fingerprint in each chunk."""
        rest = _without_own(data).replace(_NEXT, _NEXT + self._field)
        if not rest.startswith(_EVENT):
            return rest
        return _EVENT + self._field + rest.removeprefix(_EVENT)


def _without_own(data: bytes) -> bytes:
    return _OWN.sub(b"", data) if b'"system_fingerprint"' in data else data
