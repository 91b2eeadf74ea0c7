"""Rewrites a JSON Schema for llguidance: the same answers, without keywords that cannot be broken.

llguidance refuses each keyword that it does not implement, also one without effect, such as
``uniqueItems: false``. Raises nothing: what remains and is not implemented, llguidance refuses.
Standard library only. Keywords: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from mealkit.worker.schema_limits import target_of

_SCHEMAS = frozenset(
    {"items", "additionalProperties", "additionalItems", "contains", "if", "then", "else", "not"}
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
# Names of the document: references start at its root.
_IDS = frozenset({"$schema", "$id", "$anchor", "$vocabulary"})
_NOTES = frozenset({"$comment", "default", "description", "examples", "title"})
# The formats of JSON Schema. Others are notes, and so is each format of another type than text.
_FORMATS = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname"}
    | {"ipv4", "ipv6", "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer"}
    | {"time", "uri", "uri-reference", "uri-template", "uuid"}
)
_MOST_ALTERNATIVES = 64
# Comparisons within one schema, which take a tenth of a second at most.
_MOST_STEPS = 100_000


def enforceable(schema: Mapping[str, Any], root: str = "#") -> dict[str, Any]:
    """Return a schema with the same answers, in llguidance's words.

    ``root`` is the place of the schema in its document, where its references to itself lead.
    """
    return _Rewriter(schema, root).rewritten(schema)


class _Rewriter:
    def __init__(self, document: Mapping[str, Any], root: str) -> None:
        self._document = document
        self._root = root
        self._exclusion = _Exclusion()

    def rewritten(self, node: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in node.items():
            if not _has_no_effect(name, value, node):
                found[name] = self._value(name, value)
        if self._excludes(node.get("oneOf")):
            alternatives = found.pop("oneOf")
            if "anyOf" in found:
                found["allOf"] = [*found.get("allOf", []), {"anyOf": alternatives}]
            else:
                found["anyOf"] = alternatives
        return found

    def _value(self, name: str, value: Any) -> Any:
        if name in _SCHEMAS and isinstance(value, dict):
            return self.rewritten(value)
        if name in _LISTS and isinstance(value, list):
            return [self.rewritten(item) if isinstance(item, dict) else item for item in value]
        if name in _MAPS and isinstance(value, dict):
            return {
                key: self.rewritten(item) if isinstance(item, dict) else item
                for key, item in value.items()
            }
        if name == "$ref" and isinstance(value, str) and value.startswith("#"):
            return self._root + value[1:]
        return value

    def _excludes(self, alternatives: Any) -> bool:
        """Return whether no answer can match two of the alternatives, so that oneOf is anyOf."""
        if not isinstance(alternatives, list) or len(alternatives) > _MOST_ALTERNATIVES:
            return False
        found = [self._resolved(item) for item in alternatives]
        return all(self._exclusion.are_disjoint(*pair) for pair in combinations(found, 2))

    def _resolved(self, node: Any) -> Any:
        """Return the definition that a node refers to, if it is only a reference."""
        for _ in range(8):
            if not isinstance(node, dict) or node.keys() - _NOTES != {"$ref"}:
                break
            node = target_of(self._document, str(node["$ref"]))
        return node


def _has_no_effect(name: str, value: Any, node: Mapping[str, Any]) -> bool:
    """Return whether every value matches a keyword."""
    if name in _ONLY_WITH:
        return not node.keys() & _ONLY_WITH[name]
    return name in _IDS or (name in _NO_EFFECT and bool(_NO_EFFECT[name](value)))


def _accepts_every_name(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return schema is True
    return schema.keys() - _NOTES <= {"type"} and "string" in _types(schema)


def _is_note(form: Any) -> bool:
    return not isinstance(form, str) or form not in _FORMATS


# The values that every value matches.
_NO_EFFECT: Mapping[str, Callable[[Any], bool]] = {
    "uniqueItems": lambda value: value is False,
    "not": lambda value: value is False,
    "propertyNames": _accepts_every_name,
    "format": _is_note,
    "dependentRequired": lambda value: value == {},
    "dependentSchemas": lambda value: value == {},
    "dependencies": lambda value: value == {},
    "unevaluatedItems": lambda value: value is True or value == {},
    "unevaluatedProperties": lambda value: value is True or value == {},
}
# The keywords without which another one has no meaning.
_ONLY_WITH: Mapping[str, frozenset[str]] = {
    "if": frozenset({"then", "else"}),
    "then": frozenset({"if"}),
    "else": frozenset({"if"}),
    "minContains": frozenset({"contains"}),
    "maxContains": frozenset({"contains"}),
}


class _Exclusion:
    """Finds out which schemas exclude each other, in a limited number of steps."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def are_disjoint(self, one: Any, other: Any) -> bool:
        """Return whether certainly no value matches both schemas."""
        if not isinstance(one, dict) or not isinstance(other, dict):
            return one is False or other is False
        self._left -= 1
        if self._left < 0 or one is other:
            return False
        values, others = _values(one), _values(other)
        if values is not None and others is not None:
            self._left -= len(values) * len(others)
            return not any(_same(value, item) for value in values for item in others)
        kinds = _types(one) & _types(other)
        return not kinds or (kinds == {"object"} and self._have_disjoint_fields(one, other))

    def _have_disjoint_fields(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        fields, others = _fields(one), _fields(other)
        first, second = _required(one), _required(other)
        self._left -= len(first) + len(second)
        for name in first | second:
            if name in fields and name in others:
                if self.are_disjoint(fields[name], others[name]):
                    return True
            elif (name in first and _forbids(other, name)) or (
                name in second and _forbids(one, name)
            ):
                return True
        return False


def _fields(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _required(schema: Mapping[str, Any]) -> set[str]:
    found = schema.get("required")
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()


def _forbids(schema: Mapping[str, Any], name: str) -> bool:
    is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    return is_closed and name not in _fields(schema)


def _values(schema: Mapping[str, Any]) -> Sequence[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) and len(found) <= _MOST_ALTERNATIVES else None


def _same(one: Any, other: Any) -> bool:
    # In Python True equals 1, in JSON it does not.
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _types(schema: Mapping[str, Any]) -> set[str]:
    """Return the types that a schema allows; integers are numbers."""
    found = schema.get("type")
    if isinstance(found, str):
        return set(_numbers([found]))
    if isinstance(found, list):
        return set(_numbers([item for item in found if isinstance(item, str)]))
    values = _values(schema)
    if values is None:
        return {"null", "boolean", "number", "string", "array", "object"}
    return {_type_of(value) for value in values}


def _numbers(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield "number" if name == "integer" else name


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
