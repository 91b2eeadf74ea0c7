"""Finds files in the JSON Schema of a prediction's input.

The gateway has read the schema within limits of its depth and size.
"""

from collections.abc import Iterator, Mapping
from typing import Any

FILE_FORMAT = "data-url"
"""The ``format`` of an input that is a file."""
OUTPUT_MARK = "x-file"
"""The member of an output's schema that says that the output is a file."""

_DEEPEST = 8
_MOST_WAYS = 64


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


def file_inputs(schema: Any) -> list[str]:
    """Return the names of the inputs that are a file, or a list of files."""
    fields = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(fields, Mapping):
        return []
    return [name for name, field in fields.items() if _is_file(field, schema, 0)]


def alternatives(
    schema: Any, root: Mapping[str, Any], depth: int = 0
) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives of a schema, without references; ``root`` has the definitions."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    if isinstance(reference := schema.get("$ref"), str):
        here: Any = root
        for part in reference.removeprefix("#/").split("/"):
            here = here.get(part) if isinstance(here, Mapping) else None
        yield from alternatives(here, root, depth + 1)
        return
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(ways := schema.get(name), list):
            for way in ways[:_MOST_WAYS]:
                yield from alternatives(way, root, depth + 1)
            return
    yield schema


def _is_file(schema: Any, root: Mapping[str, Any], depth: int) -> bool:
    ways = alternatives(schema, root)
    return depth < _DEEPEST and any(
        way.get("format") == FILE_FORMAT
        or (way.get("type") == "array" and _is_file(way.get("items"), root, depth + 1))
        for way in ways
    )
