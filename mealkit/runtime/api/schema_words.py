"""Describes a JSON Schema in a few words, for the /docs page, such as "integer from 0"."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mealkit.runtime.api.file_schema import FILE_FORMAT, OUTPUT_MARK

Words = list[tuple[str, bool]]
"""Pieces of text; True if the piece is the name of an object that the page describes elsewhere."""


def words_of(schema: Mapping[str, Any]) -> Words:
    """Return the allowed values in words; null is left out."""
    if "$ref" in schema:
        return [(_name(schema["$ref"]), True)]
    if "const" in schema:
        return [(plain(schema["const"]), False)]
    if "enum" in schema:
        values = [plain(value) for value in schema["enum"] if value is not None]
        return [(" | ".join(values) or "null", False)]
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return _joined(schema[name])
    if schema.get("type") == "array":
        count = _count(schema, "minItems", "maxItems")
        return [(f"list of {count}", False), *words_of(schema.get("items", {}))]
    return [(_plain_type(schema), False)]


def objects_of(form: Any, schemas: Mapping[str, Any]) -> list[str]:
    """Return the names of all objects that a schema refers to, directly or indirectly, sorted."""
    found: set[str] = set()
    ahead = [form]
    while ahead:
        for reference in _references(ahead.pop()):
            if reference not in found and reference in schemas:
                found.add(reference)
                ahead.append(schemas[reference])
    return sorted(found)


def plain(value: Any) -> str:
    """Return a value as text; strings have no quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _joined(ways: Iterable[Mapping[str, Any]]) -> Words:
    joined: Words = []
    said: list[Words] = []
    for way in ways:
        words = words_of(way)
        if way.get("type") == "null" or words in said:
            continue
        said.append(words)
        joined += [(" | ", False), *words] if joined else words
    return joined


def _plain_type(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == FILE_FORMAT or schema.get(OUTPUT_MARK) is True:
        return "file"
    return f"{schema.get('type', 'any JSON')}{_range(schema)}"


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    parts = [
        *([f"from {low}"] if low is not None else []),
        *([f"above {above}"] if above is not None else []),
        *([f"to {high}"] if high is not None else []),
        *([f"below {below}"] if below is not None else []),
        *(
            [f"of {length}characters"]
            if (length := _count(schema, "minLength", "maxLength"))
            else []
        ),
        *([f"in the form {schema['format']}"] if isinstance(schema.get("format"), str) else []),
        *([f"like {schema['pattern']}"] if isinstance(schema.get("pattern"), str) else []),
    ]
    return " ".join(["", *parts])


def _count(schema: Mapping[str, Any], least: str, most: str) -> str:
    """Return how many there may be, with a blank at its end: "1 to 64 "."""
    low, high = schema.get(least), schema.get(most)
    if high is None:
        return f"{low} or more " if low else ""
    return f"{low} to {high} " if low else f"at most {high} "


def _references(form: Any) -> Iterator[str]:
    match form:
        case {"$ref": str(reference)}:
            yield _name(reference)
        case dict():
            for value in form.values():
                yield from _references(value)
        case list():
            for item in form:
                yield from _references(item)
        case _:
            return


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
