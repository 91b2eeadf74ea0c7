"""Values of JSON: finds one by a JSON Pointer (RFC 6901), and compares two."""

import re
from typing import Any

_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


def at_pointer(value: Any, pointer: str) -> Any:
    """Return the value at a pointer; the empty pointer is the whole value.

    Raises:
        LookupError: there is no such value.
    """
    if not pointer:
        return value
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise LookupError(pointer)
    return value


def comparable(value: Any) -> Any:
    """Return a form of a value that compares as JSON: 1 equals 1.0, and does not equal true."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return (isinstance(value, bool), value)
