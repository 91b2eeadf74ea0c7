"""Finds files in the JSON Schema of a prediction's input."""

from collections.abc import Mapping
from typing import Any

FILE_FORMAT = "data-url"
"""The ``format`` of an input that is a file."""

# The gateway has read the schema within a limit of depth and size.


def has_file(schema: Any) -> bool:
    """Return whether there is a file somewhere in a schema."""
    match schema:
        case Mapping():
            if schema.get("format") == FILE_FORMAT:
                return True
            return any(has_file(item) for item in schema.values())
        case list():
            return any(has_file(item) for item in schema)
        case _:
            return False
