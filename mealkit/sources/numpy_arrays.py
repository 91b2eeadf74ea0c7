"""Tells whether a numpy array holds Python objects, which numpy stores as a pickle.

Reads only the header. Source: numpy.lib.format.
"""

import ast
from typing import Any

_MAGIC = b"\x93NUMPY"
_LONG_VERSIONS = frozenset({2, 3})


def is_array(head: bytes) -> bool:
    """Return whether a file that begins like this is an array."""
    return head.startswith(_MAGIC)


def holds_objects(head: bytes) -> bool:
    """Return whether an array holds objects; also True if its header cannot be read.

    numpy refuses headers of more than some ten thousand characters, unless it may load pickles.
    """
    size = 4 if head[6:7] and head[6] in _LONG_VERSIONS else 2
    start = 8 + size
    length = int.from_bytes(head[8:start], "little")
    text = head[start : start + length]
    if len(text) < length:
        return True
    try:
        header = ast.literal_eval(text.decode("utf-8" if size == 4 else "latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return True
    return not isinstance(header, dict) or _has_objects(header.get("descr"))


def _has_objects(descr: Any) -> bool:
    """Return whether a type has objects; that of a record is a list of (name, type, shape)."""
    if isinstance(descr, str):
        # numpy writes |O, and reads 1O, (2,)O, i4,O, object and object_, too.
        return "O" in descr or "obj" in descr.lower()
    if isinstance(descr, list):
        return any(
            not isinstance(field, tuple)
            or len(field) < 2
            or _has_objects(field[1])
            or not all(_is_shape(shape) for shape in field[2:])
            for field in descr
        )
    # A record with a shape, or a type that only a newer numpy writes.
    if not isinstance(descr, tuple) or len(descr) != 2:
        return True
    return _has_objects(descr[0]) or not _is_shape(descr[1])


def _is_shape(value: Any) -> bool:
    """Return whether it is a number or numbers; in its place numpy also takes another type."""
    return isinstance(value, int | tuple) and all(
        isinstance(size, int) for size in (value if isinstance(value, tuple) else (value,))
    )
