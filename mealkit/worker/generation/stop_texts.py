"""Builds the text of an answer from token pieces: whole characters, without stop texts.

Bytes that are not UTF-8 become U+FFFD; an incomplete character at the very end is dropped. Standard
library only.
"""

import codecs
from collections.abc import Sequence


class Pieces:
    """Builds one answer; the place where it ends does not depend on the sizes of the pieces."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stop = [text for text in stop if text]
        self._held = ""
        self.read_characters = 0
        """The number of received characters."""
        self.given_characters = 0
        """The number of returned characters."""
        self.stopped_by: str | None = None
        """The stop text that has come; no text is returned after it."""

    def feed(self, piece: bytes) -> str:
        """Add a piece; return the text that now certainly belongs to the answer."""
        text = self._decode(piece)
        self.read_characters += len(text)
        if not self._stop:
            self.given_characters = self.read_characters
            return text
        self._held += text
        found = self._first_stop() if text else None
        if found is None:
            cut = len(self._held) - self._maybe_stop()
        else:
            cut, self.stopped_by = found
        given, self._held = self._held[:cut], self._held[cut:]
        self.given_characters += len(given)
        return given

    def end(self) -> str:
        """Return the buffered text, which could have become a stop text but did not."""
        given, self._held = self._held, ""
        self.given_characters += len(given)
        return given

    def _first_stop(self) -> tuple[int, str] | None:
        """Return the stop text that is complete first, the longest of several, and its start."""
        found = [
            (start + len(text), start, text)
            for text in self._stop
            if (start := self._held.find(text)) >= 0
        ]
        return min(found)[1:] if found else None

    def _maybe_stop(self) -> int:
        """Return how many of the last characters are the beginning of a stop text."""
        return max(
            next(
                (
                    length
                    for length in range(min(len(text) - 1, len(self._held)), 0, -1)
                    if self._held.endswith(text[:length])
                ),
                0,
            )
            for text in self._stop
        )
