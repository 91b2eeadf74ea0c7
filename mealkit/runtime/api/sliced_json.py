"""Parses the JSON of a large body in a thread, without blocking the other threads.

A parser written in C lets no other thread run until it ends: tens of milliseconds for a few
megabytes, in which the gateway would not answer other callers. This module splits a document at its
brackets and commas and parses each small part separately. The result, and the documents that it
rejects, are those of ``parse_json``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from mealkit.untrusted import UntrustedError, parse_json, shown

PART_BYTES = 64 * 1024
"""The maximum size of a part that is parsed in one call."""

_STRUCTURE = re.compile(rb"[\[\]{},]")
_WITHIN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
# Characters and whole escapes. The halves of a surrogate pair stay together: the first one matches
# alone only if it is certain that the second does not follow.
_CHARACTERS = re.compile(
    rb"(?:[^\\]++"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F]))"
    rb"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    rb"|\\[^u])*+",
    re.DOTALL,
)
_PAIR_BYTES = len(rb"\ud83d\ude00")
_BLANKS = b" \t\r\n"
_BLANK = re.compile(rb"[ \t\r\n]*+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_in_parts(
    data: bytes, *, max_depth: int, max_values: int, part_bytes: int = PART_BYTES
) -> Any:
    """Parse JSON as ``parse_json`` does with ``half_pairs``, at most ``part_bytes`` at a time.

    Raises:
        UntrustedError: the data is not JSON, exceeds a limit, or has a member twice.
    """
    if len(data) <= part_bytes:
        return parse_json(data, max_depth=max_depth, max_values=max_values, half_pairs=True)
    data = data.removeprefix(_BYTE_ORDER_MARK)
    return _Document(data, max_depth, max_values, part_bytes).value(0, len(data))


@dataclass(slots=True)
class _Container:
    """An array or object: the places of its end and of its commas, without those inside items."""

    end: int
    commas: list[int]


class _Document:
    """One document, with the places of its large arrays and objects."""

    def __init__(self, data: bytes, max_depth: int, max_values: int, part_bytes: int) -> None:
        self._data = data
        self._max_depth = max_depth
        self._part_bytes = part_bytes
        self._containers: dict[int, _Container] = {}
        self._find(max_values)

    def value(self, start: int, end: int) -> Any:
        """Return the one value between these places."""
        if end - start <= self._part_bytes:
            return self._parsed(self._data[start:end], start)
        start = self._after_blanks(start, end)
        while end > start and self._data[end - 1] in _BLANKS:
            end -= 1
        if end - start <= self._part_bytes:
            return self._parsed(self._data[start:end], start)
        container = self._containers.get(start)
        if container is None:
            return self._string(start, end)
        opening, closing = self._data[start : start + 1], self._data[container.end :][:1]
        if container.end != end - 1 or opening + closing not in (b"[]", b"{}"):
            _refuse(container.end)
        if self._after_blanks(start + 1, container.end) == container.end:
            return self._parsed(opening + closing, start)
        items = self._items(start + 1, container)
        return self._array(items) if opening == b"[" else self._object(items)

    def _find(self, max_values: int) -> None:
        """Find the large arrays and objects, and check the limits of depth and number of values."""
        left, open_ones = max_values, list[tuple[int, list[int]]]()
        for place in self._structure():
            kind = self._data[place]
            if kind in b"]}":
                self._close(place, open_ones)
                continue
            if kind in b"[{":
                open_ones.append((place, []))
                if len(open_ones) > self._max_depth:
                    raise UntrustedError(f"it nests deeper than {self._max_depth}")
            elif open_ones:
                open_ones[-1][1].append(place)
            else:
                _refuse(place)
            left -= 1
            if left < 0:
                raise UntrustedError(f"it has more than {max_values} values")
        if open_ones:
            _refuse(len(self._data))

    def _close(self, place: int, open_ones: list[tuple[int, list[int]]]) -> None:
        if not open_ones:
            _refuse(place)
        start, commas = open_ones.pop()
        if place - start >= self._part_bytes:
            self._containers[start] = _Container(place, commas)

    def _structure(self) -> Iterator[int]:
        """Yield the places of brackets and commas outside of strings."""
        data, place = self._data, 0
        while place < len(data):
            quote = data.find(b'"', place)
            outside_end = len(data) if quote < 0 else quote
            while place < outside_end:
                end = min(place + self._part_bytes, outside_end)
                for found in _STRUCTURE.finditer(data, place, end):
                    yield found.start()
                place = end
            if quote < 0:
                return
            place = self._end_of_string(quote + 1)

    def _end_of_string(self, place: int) -> int:
        """Return the place after the closing quote of the string that contains ``place``."""
        data = self._data
        while place < len(data):
            found = _WITHIN_STRING.match(data, place, min(place + self._part_bytes, len(data)))
            after = found.end() if found else place
            if data[after : after + 1] == b'"':
                return after + 1
            if after == place:  # a backslash at the very end
                break
            place = after
        raise UntrustedError("it is not JSON: a string has no end")

    def _items(self, start: int, container: _Container) -> Iterator[tuple[int, int, bool]]:
        """Yield start and end of neighbouring items to parse together, or of one large item."""
        ends = [*container.commas, container.end]
        group = start
        for end in ends:
            if self._after_blanks(start, end) == end:
                _refuse(end)
            if end - start > self._part_bytes:
                if group < start:
                    yield group, start - 1, False
                yield start, end, True
                group = end + 1
            elif end - group > self._part_bytes:
                yield group, start - 1, False
                group = start
            start = end + 1
        if group < start:
            yield group, container.end, False

    def _after_blanks(self, start: int, end: int) -> int:
        """Return the place of the first character that is not whitespace."""
        found = _BLANK.match(self._data, start, end)
        return found.end() if found else start

    def _array(self, items: Iterator[tuple[int, int, bool]]) -> list[Any]:
        values: list[Any] = []
        for start, end, is_large in items:
            if is_large:
                values.append(self.value(start, end))
            else:
                values += self._parsed(b"[%b]" % self._data[start:end], start)
        return values

    def _object(self, items: Iterator[tuple[int, int, bool]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for start, end, is_large in items:
            if not is_large:
                part = self._parsed(b"{%b}" % self._data[start:end], start)
            else:
                name, place = self._name(start, end)
                part = {name: self.value(place, end)}
            for name in part:
                if name in values:
                    raise UntrustedError(f"it has the member {shown(name)} twice", name)
                values[name] = part[name]
        return values

    def _name(self, start: int, end: int) -> tuple[str, int]:
        """Return the name of a member, and the place where its value starts."""
        opening = self._data.find(b'"', start, end)
        if opening < 0:
            _refuse(start)
        closing = self._end_of_string(opening + 1)
        colon = self._data.find(b":", closing, end)
        if colon < 0 or (self._data[start:opening] + self._data[closing:colon]).strip(_BLANKS):
            _refuse(opening)
        return str(self.value(opening, closing)), colon + 1

    def _string(self, start: int, end: int) -> str:
        data = self._data
        if data[start : start + 1] != b'"' or self._end_of_string(start + 1) != end:
            _refuse(start)
        pieces, place, last = list[str](), start + 1, end - 1
        while place < last:
            after = self._character_end(place, min(place + self._part_bytes, last))
            if after <= place:
                # The first half of a pair at the very end, or something that no string may contain.
                if last - place > _PAIR_BYTES:
                    _refuse(place)
                after = last
            pieces.append(self._parsed(b'"%b"' % data[place:after], place))
            place = after
        return "".join(pieces)

    def _character_end(self, place: int, end: int) -> int:
        """Return a place up to ``end`` that does not split a character or an escape."""
        found = _CHARACTERS.match(self._data, place, end)
        after = found.end() if found else place
        while after > place and self._data[after] & 0xC0 == 0x80:
            after -= 1
        return after

    def _parsed(self, part: bytes, place: int) -> Any:
        try:
            # One level more, because a part of an array is put between brackets.
            depth = self._max_depth + 1
            return parse_json(part, max_depth=depth, max_values=len(part), half_pairs=True)
        except UntrustedError as error:
            # A place within the part would mislead the caller.
            if error.member is None and str(error).startswith(("it is not JSON", "byte ")):
                _refuse(place)
            raise


def _refuse(place: int) -> NoReturn:
    raise UntrustedError(f"it is not JSON in UTF-8: check it near byte {place}")
