"""The rule of a JSON Schema, checked by jsonschema_rs.

A schema may not fetch anything: a reference to another document is an error of the contract.
Patterns are run by Rust's regex engine, whose time is linear, so a schema with look-around or
back-references is an error, too.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import JsonValue

from mealkit.contract.rule_forms import Place
from mealkit.contract.violation import Violation
from mealkit.recipe.data_contract import SchemaRule

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

_SHOWN_ERRORS = 10
_SHOWN_CHARACTERS = 200
_REGEX_BYTES = 10 * 1024 * 1024


class SchemaFaultError(ValueError):
    """A schema that cannot be used; the message says why."""


class SchemaCheck:
    """The rule for one input."""

    def __init__(self, place: Place, rule: SchemaRule) -> None:
        self._place, self._for_items = place, _is_for_items(rule.schema_)
        self._schema = rule.schema_
        self._validator = _compiled(rule.schema_)
        self._is_valid = self._validator.is_valid

    def check(self, field: str, value: JsonValue) -> Iterable[Violation]:
        """Return the violations of a value, or of each item of a list."""
        if isinstance(value, list) and self._for_items:
            return [
                violation
                for index, item in enumerate(value)
                for violation in self._of_one(f"{field}[{index}]", item)
            ]
        return self._of_one(field, value)

    def _of_one(self, field: str, value: JsonValue) -> Iterable[Violation]:
        try:
            return () if self._is_valid(value) else [*self._described(field, value)]
        except ValueError:  # deeper than 255 levels, or a number that no JSON has
            required = "a value that the schema's validator can read"
            return [self._place.violation(field, value, "a value that it cannot read", required)]

    def _described(self, field: str, value: JsonValue) -> Iterator[Violation]:
        for error in islice(self._validator.iter_errors(value), _SHOWN_ERRORS):
            place = "".join(
                f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path
            )
            measured = f"an invalid value ({error.message[:_SHOWN_CHARACTERS]})"
            broken: Any = error.instance
            required = _requirement(self._schema, error.schema_path)
            yield self._place.violation(field + place, broken, measured, required)


def _requirement(schema: dict[str, JsonValue], path: Sequence[str | int]) -> str:
    """Return the keyword that a value breaks, as the schema writes it: ``minLength: 3``."""
    value: Any = schema
    try:
        for part in path:
            value = value[part]
    except (LookupError, TypeError):  # the path leads through a reference
        return f"what the schema requires at {'/'.join(map(str, path))}"
    return f"{path[-1]}: {json.dumps(value)[:_SHOWN_CHARACTERS]}"


def schema_fault(schema: dict[str, JsonValue]) -> str | None:
    """Return why a schema cannot be used in a contract, or None if it can."""
    try:
        _compiled(schema)
    except SchemaFaultError as error:
        return str(error)
    return None


def _compiled(schema: dict[str, JsonValue]) -> "Draft202012Validator":
    import jsonschema_rs  # noqa: PLC0415  late: only kits with a schema have the package

    limits = jsonschema_rs.RegexOptions(size_limit=_REGEX_BYTES, dfa_size_limit=_REGEX_BYTES)
    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            mask="the value",
            retriever=_refuse,
            pattern_options=limits,
            validate_formats=True,
        )
    except Exception as error:  # it raises ValueError, its own classes, and the retriever's
        raise SchemaFaultError(str(error).partition("\n")[0][:_SHOWN_CHARACTERS]) from error


def _is_for_items(schema: dict[str, JsonValue]) -> bool:
    """Return whether a schema is for each item of a list: its type is stated and is not array."""
    kinds = schema.get("type")
    return kinds is not None and "array" not in (kinds if isinstance(kinds, list) else [kinds])


def _refuse(uri: str) -> NoReturn:
    raise SchemaFaultError(f"it refers to another document: {json.dumps(uri)}")
