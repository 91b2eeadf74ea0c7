"""Reads typed fields of untrusted JSON: a number, a name or a map, or nothing."""

from collections.abc import Mapping
from typing import Any

MOST = 2**31
"""The maximum for a model's numbers; larger values are ignored."""
_MAX_NAME_CHARACTERS = 128


def number_of(fields: Mapping[str, Any], *names: str) -> int:
    """Return the first of the fields that is a whole number from 1 to `MOST`; 0 if none is."""
    for name in names:
        found = fields.get(name)
        if type(found) is int and 0 < found <= MOST:
            return found
    return 0


def name_of(value: object) -> str | None:
    """Return the value if it is a name that fits on a line, else None."""
    if isinstance(value, str) and len(value) <= _MAX_NAME_CHARACTERS and value.isprintable():
        return value or None
    return None


def numbers_of(value: object) -> list[int]:
    """Return the whole numbers of a value, which may have one for each layer."""
    several = value if isinstance(value, (tuple, list)) else ()
    return [item for item in several if type(item) is int]


def part_of(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is a map; an empty map if there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}
