"""Fields of JSON that others wrote: a number or nothing, a map or nothing."""

from collections.abc import Mapping
from typing import Any


def number_of(fields: Mapping[str, Any], *names: str) -> int:
    """Return the first whole number above zero among the names; 0: there is none."""
    for name in names:
        found = fields.get(name)
        if type(found) is int and found > 0:
            return found
    return 0


def numbers_of(value: object) -> list[int]:
    """Return the whole numbers of a value that may be several, one for each layer."""
    several = value if isinstance(value, (tuple, list)) else ()
    return [item for item in several if type(item) is int]


def part_of(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a map among the fields; an empty one if there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}
