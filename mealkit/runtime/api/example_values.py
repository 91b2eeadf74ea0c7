"""Builds example values for a JSON Schema: the schema's own example, or a simple value.

`sample` invents values, for people to read; `stated_example` only takes what the author wrote.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.runtime.api.file_schema import FILE_FORMAT

_DEEPEST = 8
# A schema of a few lines that refers to itself could describe more than there is memory for.
_MOST_VALUES = 1000
_MOST_CHARACTERS = 1000
# A file with the text "hello".
_FILE = "data:text/plain;base64,aGVsbG8="


@dataclass(frozen=True, slots=True)
class _Root:
    """The whole schema, and how many more values may be made."""

    schema: Mapping[str, Any]
    left: Iterator[int] = field(default_factory=lambda: iter(range(_MOST_VALUES)))


def sample(schema: Mapping[str, Any]) -> Any:
    """Return an example value, which need not match the schema's patterns."""
    return _sample(schema, _Root(schema), 0)


def stated_example(schema: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the input that the schema of an object states, and the first field without a value.

    The input is None if a required field has no example, default or fixed value. Optional fields
    are in it only if they have an example.
    """
    root = _Root(schema)
    found: dict[str, Any] = {}
    fields, needed = schema.get("properties"), schema.get("required")
    names = [name for name in needed if isinstance(name, str)] if isinstance(needed, list) else []
    for name, field_schema in fields.items() if isinstance(fields, Mapping) else ():
        value = _own_example(field_schema, root, required=name in names, depth=0)
        if value is not None:
            found[name] = value
    missing = next((name for name in names if name not in found), None)
    return (found, "") if missing is None else (None, missing)


def _own_example(schema: Any, root: _Root, *, required: bool, depth: int) -> Any:
    """Return what the author stated for a field; None without it."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return examples[0]
    stated = _stated(schema) if required else schema.get("example")
    reference = schema.get("$ref")
    if stated is not None or not isinstance(reference, str):
        return stated
    inner = _resolve(reference, root.schema)
    found = _own_example(inner, root, required=required, depth=depth + 1)
    if found is not None or not required or not isinstance(inner, Mapping):
        return found
    # A model of fields with defaults is complete without a value.
    return {} if inner.get("type") == "object" and not inner.get("required") else None


def _sample(schema: Any, root: _Root, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST or next(root.left, None) is None:
        return None
    inner = _other_schema(schema, root.schema)
    if inner is not None:
        return _sample(inner, root, depth + 1)
    stated = _stated(schema)
    return _typed(schema, root, depth) if stated is None else stated


def _other_schema(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return the schema that this one refers to, or its first alternative; None without one."""
    if isinstance(reference := schema.get("$ref"), str):
        return _resolve(reference, root)
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(ways := schema.get(name), list) and ways and _stated(schema) is None:
            return ways[0]
    return None


def _typed(schema: Mapping[str, Any], root: _Root, depth: int) -> Any:
    match schema.get("type"):
        case "object":
            return _object(schema, root, depth)
        case "array":
            return [_sample(schema.get("items"), root, depth + 1)]
        case "integer" | "number":
            return schema.get("minimum", schema.get("maximum", 1))
        case "boolean":
            return True
        case kind:
            return _text(schema) if kind == "string" else None


def _object(schema: Mapping[str, Any], root: _Root, depth: int) -> dict[str, Any]:
    fields, needed = schema.get("properties"), schema.get("required")
    if not isinstance(fields, Mapping) or not isinstance(needed, list):
        return {}
    names = [name for name in needed if isinstance(name, str)]
    return {name: _sample(fields.get(name), root, depth + 1) for name in names}


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == FILE_FORMAT:
        return _FILE
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    text = "text"
    if type(shortest) is int:
        text = text.ljust(min(shortest, _MOST_CHARACTERS), ".")
    return text[: max(longest, 0)] if type(longest) is int else text


def _stated(schema: Mapping[str, Any]) -> Any:
    for name in ("examples", "enum"):
        if isinstance(values := schema.get(name), list) and values:
            return values[0]
    return schema.get("example", schema.get("default", schema.get("const")))


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    here: Any = root
    for part in reference.removeprefix("#/").split("/"):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here
