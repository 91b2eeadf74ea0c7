"""What of a caller's JSON Schema is refused for its size, before anything compiles it."""

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.schema_limits import check_schema_size, written_out


def chain(count, name="#/$defs/d{}"):
    """Definitions each of which refers to the next."""
    links = {f"d{n}": {"anyOf": [{"$ref": name.format(n + 1)}]} for n in range(count)}
    return {"$defs": {**links, f"d{count}": {"type": "string"}}, "$ref": name.format(0)}


def pattern(text):
    return {"type": "object", "properties": {"a": {"type": "string", "pattern": text}}}


def divided(*numbers, how="anyOf"):
    return {how: [{"type": "integer", "multipleOf": number} for number in numbers]}


FITTING = {
    "nothing": {},
    "an enum": {"enum": [f"value {number}" for number in range(5_000)]},
    "properties": {"properties": {f"p{n}": {"type": "string"} for n in range(5_000)}},
    "definitions": chain(80),
    "a tree": {"$defs": {"t": {"properties": {"l": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"},
    "itself": {"items": {"$ref": "#"}},
    "a date": pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([0-9]{2}:){2}[0-9]{2}(\.[0-9]{1,9})?Z$"),
    "a name": pattern(r"^[a-z]{1,63}(\.[a-z]{1,63}){0,10}$"),
    "cents": divided(0.01, 0.05, 5, 100, 1_000_000, how="allOf"),
    "divisors apart": divided(16, 15, 7, 13, 11),
}
TOO_LARGE = {
    "an enum": {"enum": [0] * 20_001},
    "a text": {"const": "x" * 256_001},
    "a name": {"properties": {"x" * 256_001: {}}},
    "references": chain(2_000),
    "references by name": {**chain(0), "anyOf": [{"$ref": f"#n{n}"} for n in range(200)]},
    "references elsewhere": chain(150, "http://example.invalid/{}"),
    "repeats of repeats": pattern("(a{1,1000}){1,1000}"),
    "repeats without end": pattern("(" * 5_000 + "a" + "{1,999999999999})" * 5_000),
    "a long repeat": pattern("x{3,100001}"),
    "a repeated class": pattern(r"(?:[^)(\]{]{400}){400}"),
    "a repeat as a name": {"patternProperties": {"^(a{1,1000}){1,1000}$": {}}},
    "a divisor": divided(99_991),
    "divisors": divided(*range(2, 300)),
    "joined divisors": divided(79, 97, 101, how="allOf"),
    "a divisor of many digits": divided(10**4_000 + 1),
    "a small divisor of many digits": divided(1.23456789e-7),
}


@pytest.mark.parametrize("schema", FITTING.values(), ids=FITTING)
def test_what_fits(schema):
    """Schemas that people write, and those at OpenAI's limits."""
    check_schema_size([schema], "response_format")


@pytest.mark.parametrize("schema", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_is_too_large(schema):
    """By itself, or by what a few bytes of it stand for."""
    with pytest.raises(MealkitError) as caught:
        check_schema_size([schema], "response_format")
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("REQUEST_UNSUPPORTED", "response_format")
    assert len(problem.message) < 200


def test_several_together():
    """Many tools are counted together."""
    schemas = [{"enum": ["x"] * 300}] * 100
    check_schema_size(schemas[:50], "tools")
    with pytest.raises(MealkitError, match="values"):
        check_schema_size(schemas, "tools")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("abc", 3),
        ("a{3}", 3),
        ("a{2,}", 2),
        ("(ab){3}c", 7),
        ("((ab){3}c){2}", 14),
        (r"\d{4}", 4),
        ("[abc]{4}", 4),
        ("{4}", 3),
        ("a{x}", 4),
        ("a{0}", 1),
        (")", 1),
        ("[a", 1),
        ("\\", 1),
    ],
)
def test_a_pattern_written_out(text, length):
    """Its characters, groups and classes, each as often as it is repeated."""
    assert written_out(text) == length
