"""How large a caller's JSON Schema may be, so that what compiles it stays within time and memory.

Refuses schemas that are larger than OpenAI's limits by far, and those of which a few bytes become
much: references that lead to references, repeats of repeats, divisors with automata of their size.
llguidance bounds the rest (``LLParserLimits``), but it follows references by recursion: some 2000
of them end the process (measured with 1.9). Standard library only.
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
# Levels of the schema, with those of each definition that a reference names.
MAX_LEVELS = 500
# Single characters that a pattern's repeats stand for, if they are written out.
MAX_REPEATS = 100_000
# A number that must divide an integer has an automaton with so many states.
MAX_DIVISORS = 20_000

_LONGEST = 10**12
_REPEAT = re.compile(r"\{(\d{1,12})(?:(,)(\d{0,12}))?\}")


def check_schema_size(schemas: Sequence[Mapping[str, Any]], where: str) -> None:
    """Refuse schemas that are too large together.

    Raises:
        RequestError: ``REQUEST_UNSUPPORTED``, saying what there is too much of.
    """
    size = _Size(where)
    for schema in schemas:
        size.add(schema)
    size.check_divisors()


class _Size:
    """What has been found in the schemas so far."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._values = 0
        self._characters = 0
        self._divisors: list[int] = []
        self._joins = False

    def add(self, schema: Mapping[str, Any]) -> None:
        """Look at every value of a schema, without recursion, whatever its depth."""
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
            heights.get(id(target), 1) if (target := _target(schema, name)) is not None else whole
            for name in references
        )
        if levels > MAX_LEVELS:
            most = f"{MAX_LEVELS} are the most"
            raise self._too_large(f"{levels} levels with those that it refers to, {most}")

    def check_divisors(self) -> None:
        """Refuse divisors whose automata are too large, alone or joined with others."""
        total = sum(self._divisors)
        if total > MAX_DIVISORS or (self._joins and math.lcm(*self._divisors) > MAX_DIVISORS):
            raise self._too_large("too large numbers in multipleOf")

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
    """Return how long a pattern would be without counted repeats, at least roughly."""
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
    """Return the levels of each object and array; each is found before what it has in it."""
    heights: dict[int, int] = {}
    for value, parent in reversed(found):
        height = heights.setdefault(id(value), 1) if isinstance(value, dict | list) else 1
        if parent >= 0:
            above = id(found[parent][0])
            heights[above] = max(heights.get(above, 1), height + 1)
    return heights


def _target(schema: Mapping[str, Any], reference: str) -> Any:
    """Return what a reference names by its place in the schema (RFC 6901), if it is there."""
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
