"""Limits the size of a caller's JSON Schema, so that compiling it takes limited time and memory.

Raises RequestError for schemas far above OpenAI's limits, and for short schemas that expand to a
large size: references to references, repeats of repeats, and divisors, whose automata have as many
states as the number. llguidance limits the rest (``LLParserLimits``), but it follows references by
recursion: some 2000 of them crash the process (measured with 1.9). Standard library only.
"""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from mealkit.errors import MealkitError, failure

# OpenAI's are 5000 properties, 1000 values of enums and 120,000 characters.
# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
MAX_VALUES = 20_000
MAX_CHARACTERS = 256_000
# Levels of the schema, including those of each referenced definition.
MAX_LEVELS = 500
# Length of a pattern whose repeats are written out as single characters.
MAX_REPEATS = 100_000
# The automaton for a divisor has as many states as the divisor.
MAX_DIVISORS = 20_000

_LONGEST = 10**12
_REPEAT = re.compile(r"\{(\d{1,12})(?:(,)(\d{0,12}))?\}")


def check_schema_size(schemas: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise for schemas that are too large together.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, naming the exceeded limit.
    """
    size = _Size(where)
    for schema in schemas:
        size.add(schema)
    size.check_divisors()


class _Size:
    """The counts of the schemas so far."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._values = 0
        self._characters = 0
        self._divisors: list[int] = []
        self._joins = False

    def add(self, schema: Mapping[str, Any]) -> None:
        """Count every value of a schema, without recursion, at any depth."""
        found: list[tuple[Any, int]] = [(schema, -1)]
        references: set[str] = set()
        for place, (value, _) in enumerate(found):
            self._count(value)
            if isinstance(value, dict):
                found.extend((item, place) for item in value.values())
                self._look_at(value, references)
            elif isinstance(value, list):
                found.extend((item, place) for item in value)
            if self._values + len(found) - place > MAX_VALUES:
                raise self._too_large(f"more than {MAX_VALUES} values")
        heights = _heights(found)
        whole = heights[id(schema)]
        levels = whole + sum(
            heights.get(id(target), 1) if (target := target_of(schema, name)) is not None else whole
            for name in references
        )
        if levels > MAX_LEVELS:
            most = f"the limit is {MAX_LEVELS}"
            raise self._too_large(f"{levels} levels, including referenced schemas, {most}")

    def check_divisors(self) -> None:
        """Raise for divisors whose automata are too large, alone or combined."""
        total = sum(self._divisors)
        if total > MAX_DIVISORS or (self._joins and math.lcm(*self._divisors) > MAX_DIVISORS):
            raise self._too_large("numbers in multipleOf that are too large")

    def _count(self, value: Any) -> None:
        self._values += 1
        if isinstance(value, str):
            self._characters += len(value)
        elif isinstance(value, dict):
            self._characters += sum(map(len, value))
        if self._characters > MAX_CHARACTERS:
            raise self._too_large(f"more than {MAX_CHARACTERS} characters")

    def _look_at(self, value: Mapping[str, Any], references: set[str]) -> None:
        reference, divisor = value.get("$ref"), value.get("multipleOf")
        if isinstance(reference, str):
            references.add(reference)
        self._joins |= "allOf" in value or "$ref" in value
        if isinstance(divisor, int | float) and not isinstance(divisor, bool):
            self._divisors.append(_digits(divisor))
        named = value.get("patternProperties")
        for pattern in (value.get("pattern"), *(named if isinstance(named, dict) else ())):
            if isinstance(pattern, str) and written_out(pattern) > MAX_REPEATS:
                raise self._too_large(f"a pattern that repeats more than {MAX_REPEATS} characters")

    def _too_large(self, what: str) -> MealkitError:
        return failure("REQUEST_UNSUPPORTED", f"the schema has {what}", where=self._where)


def written_out(pattern: str) -> int:
    """Return the approximate length of a pattern with its counted repeats written out."""
    lengths, last, place = [0], 0, 0
    while place < len(pattern):
        repeat = _REPEAT.match(pattern, place)
        if repeat and last:
            times = max(int(repeat[1]), int(repeat[3] or 0), 1)
            longer = min(last * times, _LONGEST)
            lengths[-1] += longer - last
            last, place = longer, repeat.end()
            continue
        character = pattern[place]
        if character == "(":
            lengths.append(0)
            last = 0
        elif character == ")" and len(lengths) > 1:
            last = min(lengths.pop(), _LONGEST)
            lengths[-1] += last
        elif character not in "*+?|":
            last = 1
            lengths[-1] += 1
        place = _end_of_unit(pattern, place)
    return sum(lengths)


def _end_of_unit(pattern: str, place: int) -> int:
    """Return where a character, an escape or a class ends."""
    if pattern[place] == "[":
        place += 1
        while place < len(pattern) and pattern[place] != "]":
            place += 2 if pattern[place] == "\\" else 1
    return place + (2 if pattern[place : place + 1] == "\\" else 1)


def _heights(found: Sequence[tuple[Any, int]]) -> dict[int, int]:
    """Return the levels of each object and array; parents come before their items in ``found``."""
    heights: dict[int, int] = {}
    for value, parent in reversed(found):
        height = heights.setdefault(id(value), 1) if isinstance(value, dict | list) else 1
        if parent >= 0:
            above = id(found[parent][0])
            heights[above] = max(heights.get(above, 1), height + 1)
    return heights


def target_of(schema: Mapping[str, Any], reference: str) -> Any:
    """Return the target of a reference (RFC 6901) within the schema; None if it is missing."""
    place, mark, path = reference.partition("#")
    if place or not mark or (path and not path.startswith("/")):
        return None
    found: Any = schema
    for part in path.split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and len(name) < 7:
            found = found[int(name)] if int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


def _digits(divisor: float) -> int:
    """Return a divisor without its factors of ten: 0.05 and 500 are 5."""
    number = Decimal(str(divisor))
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    return int(digits or 1) if len(digits) < 10 else MAX_DIVISORS + 1
