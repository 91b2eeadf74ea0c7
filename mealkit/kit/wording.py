"""Writes the texts for pydantic's errors: the field, its value, and how to write it.

No I/O; every kind of error has one function here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mealkit.errors import Problem, problem
from mealkit.kit.corrections import corrected, meant_choices
from mealkit.kit.document import Path
from mealkit.kit.fields import is_size, names_of
from mealkit.recipe.claims import QUESTION_KINDS

BAD_KEY = "bad_key"
"""The kind of a fault in a key, not in a value."""

_SHOWN_CHARACTERS = 60

_LEADING_NUMBER = re.compile(r"\s*([0-9]+)(?![0-9.,])\s*[a-zA-Z]*\Z")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTkmgt]?)((?:[iI](?:[bB]|\b))?)")
# A size without a unit: in gigabytes below the first, in bytes from the second.
_MEGABYTES_FROM = 256
_BYTES_FROM = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of pydantic, with facts about its place."""

    kind: str
    path: Path
    value: Any
    raw: str | None
    context: Mapping[str, Any]
    text: str
    field: FieldInfo | None
    siblings: tuple[str, ...]
    home: str | None
    where: str
    also: str = ""
    whole: str = "the kit"

    def with_alternative(self, also: str) -> "Fault":
        """Return the fault with another value that its place accepts."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return Fault(**{**values, "also": also})

    @property
    def name(self) -> str:
        """The place, as written in messages."""
        return dotted(self.path) if self.path else self.whole

    @property
    def last(self) -> str:
        """The last step of the place."""
        return str(self.path[-1]) if self.path else self.whole

    @property
    def expected(self) -> str:
        """The values that the models accept, in pydantic's list."""
        return str(self.context.get("expected", ""))

    @property
    def meant(self) -> Path | None:
        """The field that an unknown one was probably meant to be."""
        if self.kind != "extra_forbidden":
            return None
        near = get_close_matches(self.last, self.siblings, n=1)
        return (*self.path[:-1], near[0]) if near else None

    @property
    def is_echo(self) -> bool:
        """Whether the error only repeats, for a list, that its items are wrong."""
        return self.kind == "too_short" and bool(self.value)

    @property
    def shown(self) -> str:
        """The value as written in the file."""
        match self.value:
            case None:
                return "empty"
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case str():
                text = repr(self.value)
            case _:
                text = self.raw if self.raw is not None else str(self.value)
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def dotted(path: Path) -> str:
    """Return a path as people write it: ``model.weights[0].repo``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "the kit"


def worded(fault: Fault) -> Problem:
    """Return the problem: what is wrong, with the value, and what to write instead."""
    code = _CODES.get(fault.kind, "KIT_INVALID")
    if fault.value is None and fault.kind not in {"extra_forbidden", "union_tag_not_found"}:
        message: str = f"{fault.name} has no value"
        hint: str | None = _valueless(fault)
    elif is_size(fault.field):
        message, hint = _size(fault)
    else:
        message, hint = _WORDS.get(fault.kind, _otherwise)(fault)
    return problem(code, message, where=fault.where, hint=hint)


_Words = tuple[str, str | None]


def _valueless(fault: Fault) -> str:
    if names := _names_below(fault):
        return f"write its fields below it, indented: {', '.join(names)}; or delete the line"
    explained = _explained(fault)
    return "write a value after the colon" + (f" - {explained}" if explained else "")


def _missing(fault: Fault) -> _Words:
    explained = _explained(fault)
    return f"{fault.name} is missing", f"add `{fault.last}:`" + (
        f" - {explained}" if explained else ""
    )


def _unknown(fault: Fault) -> _Words:
    message = f"the field {fault.name} does not exist"
    if fault.meant:
        return message, f"did you mean {fault.meant[-1]!r}?"
    if fault.home:
        return message, f"{fault.last!r} belongs under {fault.home}"
    return message, f"delete the line; the fields here are {', '.join(fault.siblings)}"


def _text(fault: Fault) -> _Words:
    if isinstance(fault.value, bool | int | float):
        kind = "true or false" if isinstance(fault.value, bool) else "a number"
        quoted = f'"{fault.shown}"'
        written = f"{fault.last}: {quoted}" if isinstance(fault.path[-1], str) else quoted
        message = f"{fault.name} is {fault.shown}, which YAML reads as {kind}, expected text"
        return message, f"write it in quotes: {written}"
    return f"{fault.name} is {fault.shown}, expected text", _explained(fault)


def _number(fault: Fault) -> _Words:
    hint = "write a whole number" if "int" in fault.kind else "write a number"
    if isinstance(fault.value, str):
        digits = _LEADING_NUMBER.match(fault.value)
        hint = f"write {digits[1]}, {hint[6:]}" if digits else hint
        hint += (
            ", without quotes"
            if not digits or digits[1] == fault.value.strip()
            else ", without a unit"
        )
    return f"{fault.name} is {fault.shown}, expected a number", hint


def _boolean(fault: Fault) -> _Words:
    hint = "write true or false, without quotes"
    return f"{fault.name} is {fault.shown}, expected true or false", hint


def _choice(fault: Fault) -> _Words:
    expected = str(fault.context.get("expected") or fault.context.get("expected_tags") or "")
    value = fault.context.get("tag", fault.value)
    choices = [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    near = get_close_matches(str(value), choices, n=1) or meant_choices(str(value), choices)
    many = len(choices) > 1
    told = repr(value) if isinstance(value, str) else fault.shown
    message = f"{fault.name} is {told}, expected {'one of ' if many else ''}{', '.join(choices)}"
    if near:
        return message, f"did you mean {near[0]!r}?"
    return message, f"choose {'one of ' if many else ''}{', '.join(choices)}"


def _untagged(fault: Fault) -> _Words:
    what = "the kind of source"
    if fault.last == "kind":
        what = f"the kind of question: {', '.join(QUESTION_KINDS)}"
    return f"{fault.name} is missing", f"add `{fault.last}:`, {what}"


def _pattern(fault: Fault) -> _Words:
    explained = _explained(fault) or f"it must match {fault.context['pattern']}"
    message = f"{fault.name} is {fault.shown}, which is not in the right format"
    meant = corrected(fault.value, fault.context["pattern"])
    return message, f"write {_written(meant)}; {explained}" if meant else explained


def _written(text: str) -> str:
    """Return a text as kit.yaml needs it: in quotes if YAML would read a number."""
    return f'"{text}"' if text.replace(".", "", 1).isdigit() else text


def _key(fault: Fault) -> _Words:
    hint = "use lower-case letters, digits, dots, dashes and underscores"
    if meant := corrected(str(fault.value), fault.context.get("pattern", "")):
        hint = f"write {meant}: {hint}"
    return f"{fault.shown} is not a valid name in {dotted(fault.path[:-1])}", hint


def _size(fault: Fault) -> _Words:
    value = str(fault.value) if isinstance(fault.value, str) else fault.shown
    found = _SIZE.search(value)
    number, prefix, is_binary = found.groups() if found else ("4", "", "")
    also = f"{fault.also.strip(chr(39))}, " if fault.also else ""
    expected = f"{also}or a number with its unit" if also else "a number with its unit"
    message = f"{fault.name} is {fault.shown}, expected {expected}"
    if prefix:
        unit = prefix.upper()
    else:  # 2,048 gigabytes are not meant: it is the number of megabytes, or of bytes
        whole = float(number)
        unit = "G" if whole < _MEGABYTES_FROM else "M" if whole < _BYTES_FROM else ""
    if is_binary or not unit:
        return message, f"write {number}{unit}{'iB' if unit else 'B'}"
    return message, f"write {number}{unit}B or {number}{unit}iB"


def _empty(fault: Fault) -> _Words:
    return f"{fault.name} is empty", _explained(fault)


def _long(fault: Fault) -> _Words:
    limit = fault.context["max_length"]
    message = f"{fault.name} has {len(fault.value)} characters, expected at most {limit}"
    return message, "shorten it"


def _many(fault: Fault) -> _Words:
    # A mapping is not counted to its end.
    limit, count = fault.context["max_length"], len(fault.value)
    return f"{fault.name} has {count} items, expected at most {limit}", "leave some out"


def _list(fault: Fault) -> _Words:
    hint = "write its items below it, each after a dash"
    if isinstance(fault.value, str | int | float):
        hint = f"write {fault.last}: [{fault.raw or fault.value}]"
    return f"{fault.name} is {fault.shown}, expected a list", hint


def _mapping(fault: Fault) -> _Words:
    inner = f": {', '.join(names)}" if (names := _names_below(fault)) else ""
    return (
        f"{fault.name} is {fault.shown}, expected a mapping",
        f"write its fields below it{inner}",
    )


def _names_below(fault: Fault) -> list[str]:
    annotation = fault.field.annotation if fault.field else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return names_of(annotation)
    return []


def _range(fault: Fault) -> _Words:
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    bound = " and ".join(
        f"{signs[name]} {value}" for name, value in fault.context.items() if name in signs
    )
    return f"{fault.name} is {fault.shown}, expected {bound}", f"write a number of {bound}"


def _day(fault: Fault) -> _Words:
    return f"{fault.name} is {fault.shown}, expected a day", "write year, month, day: 2026-01-31"


def _own_words(fault: Fault) -> _Words:
    return f"{fault.name}: {fault.context['error']}", _explained(fault)


def _otherwise(fault: Fault) -> _Words:
    return f"{fault.name} is {fault.shown}: {fault.text[:1].lower()}{fault.text[1:]}", _explained(
        fault
    )


def _explained(fault: Fault) -> str | None:
    """Return the field's own description as a hint."""
    text = fault.field.description if fault.field else None
    if not text:
        return None
    text = " ".join(text.split())
    text = text.replace("``", "`")
    first = text[:1] if text[1:2].isupper() else text[:1].lower()
    return first + (text[1:] if text.endswith("...") else text[1:].removesuffix("."))


_WORDS: Mapping[str, Callable[[Fault], _Words]] = {
    BAD_KEY: _key,
    "missing": _missing,
    "extra_forbidden": _unknown,
    "string_type": _text,
    "int_type": _number,
    "int_from_float": _number,
    "float_type": _number,
    "bool_type": _boolean,
    "literal_error": _choice,
    "enum": _choice,
    "union_tag_invalid": _choice,
    "union_tag_not_found": _untagged,
    "string_pattern_mismatch": _pattern,
    "string_too_short": _empty,
    "too_short": _empty,
    "string_too_long": _long,
    "too_long": _many,
    "tuple_type": _list,
    "dict_type": _mapping,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "greater_than_equal": _range,
    "greater_than": _range,
    "less_than_equal": _range,
    "less_than": _range,
    "value_error": _own_words,
    "date_type": _day,
    "date_parsing": _day,
    "date_from_datetime_parsing": _day,
    "date_from_datetime_inexact": _day,
}

_CODES = {
    "missing": "KIT_FIELD_MISSING",
    "union_tag_not_found": "KIT_FIELD_MISSING",
    "extra_forbidden": "KIT_UNKNOWN_FIELD",
}
