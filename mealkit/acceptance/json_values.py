"""Values of JSON: finds one by a JSON Pointer (RFC 6901), and compares two."""

import math
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


def same_json(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON: 1 is 1.0, and is not true.

    Numbers that differ by less than one part in 10^9 are the same: another processor or library
    gives other last digits.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or _is_close(one, other)
    return bool(one == other)


def _is_close(one: float, other: float) -> bool:
    try:
        return math.isclose(one, other)
    except OverflowError:  # an integer that is larger than any float
        return False
