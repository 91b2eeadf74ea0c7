"""Fields of JSON that others wrote: a number or nothing, a name or nothing, a map or nothing."""

from collections.abc import Mapping
from typing import Any

MOST = 2**31
"""No number of a model is greater; what says otherwise is taken to say nothing."""
_MAX_NAME_CHARACTERS = 128


def number_of(fields: Mapping[str, Any], *names: str) -> int:
    """Return the first whole number above zero, and no greater than any model's; 0: none is."""
    for name in names:
        found = fields.get(name)
        if type(found) is int and 0 < found <= MOST:
            return found
    return 0


def name_of(value: object) -> str | None:
    """Return a name that can be shown on a line; None: it is something else."""
    if isinstance(value, str) and len(value) <= _MAX_NAME_CHARACTERS and value.isprintable():
        return value or None
    return None


def numbers_of(value: object) -> list[int]:
    """Return the whole numbers of a value that may be several, one for each layer."""
    several = value if isinstance(value, (tuple, list)) else ()
    return [item for item in several if type(item) is int]


def part_of(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a map among the fields; an empty one if there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}
