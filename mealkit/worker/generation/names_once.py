"""Follows JSON while it is generated, and finds a name that its object already has.

A grammar cannot remember names, so ``{"type": "object"}`` allows ``{"a": 1, "a": 2}``, of which
every reader keeps another part. Raises nothing: the grammar guarantees that the text is JSON.
Standard library only.
"""

import json
from dataclasses import dataclass, replace

_QUOTE, _ESCAPE = ord('"'), ord("\\")
_OPEN_OBJECT, _OPEN_ARRAY = ord("{"), ord("[")
_CLOSE = b"}]"
_COMMA = ord(",")


@dataclass(frozen=True, slots=True)
class NamesOnce:
    """The place in a JSON text; text around JSON, such as a tag, is skipped."""

    around: tuple[frozenset[str] | None, ...] = ()
    """The names so far of each open object, outermost first; None for an array."""
    string: bytes | None = None
    """The received part of an open string."""
    is_escaped: bool = False
    awaits_name: bool = False
    """Whether the next string, or the open one, is a name."""

    def after(self, piece: bytes) -> "NamesOnce | None":
        """Return the place after more text; None if it repeats a name."""
        place: NamesOnce | None = self
        for byte in piece:
            if place is None:
                break
            place = _outside(place, byte) if place.string is None else _inside(place, byte)
        return place


def _outside(place: NamesOnce, byte: int) -> NamesOnce:
    """Return the place after a byte that is not part of a string."""
    if byte == _QUOTE:
        return replace(place, string=b"")
    if byte == _OPEN_OBJECT:
        return NamesOnce((*place.around, frozenset()), awaits_name=True)
    if byte == _OPEN_ARRAY:
        return NamesOnce((*place.around, None))
    if byte in _CLOSE:
        return NamesOnce(place.around[:-1])
    if byte == _COMMA:
        return replace(place, awaits_name=bool(place.around) and place.around[-1] is not None)
    return place


def _inside(place: NamesOnce, byte: int) -> NamesOnce | None:
    """Return the place after a byte of a string; None if a name ends that its object has."""
    content = place.string or b""
    if place.is_escaped or byte != _QUOTE:
        is_escaped = byte == _ESCAPE and not place.is_escaped
        # Only names are compared later.
        content = content + bytes([byte]) if place.awaits_name else b""
        return replace(place, string=content, is_escaped=is_escaped)
    if not place.awaits_name:
        return replace(place, string=None)
    *outer, names = place.around
    name = json.loads(b'"%b"' % content)
    if names is None or name in names:
        return None
    return NamesOnce((*outer, names | {name}))
