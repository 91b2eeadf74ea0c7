"""Schemas that would take for ever are refused before llguidance sees them."""

import pytest
from worker.generation.scripted import ScriptedModel

from mealkit.errors import MealkitError
from mealkit.worker.generation.grammar import Schemas
from mealkit.worker.generation.patterns import MOST_PATTERNS, check_patterns


def patterns(count):
    return [{"type": "string", "pattern": f"a{{1,{number + 1}}}"} for number in range(count)]


def chain(count):
    """Return definitions each of which joins its pattern with the next one's."""
    found = {
        f"d{number}": {"$ref": f"#/$defs/d{number + 1}", "pattern": f"a{{1,{number + 1}}}"}
        for number in range(count)
    }
    return {"$defs": {**found, f"d{count}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def nested(count):
    """Return a schema whose members meet only in a property far below."""
    return {
        "allOf": [
            {"properties": {"a": {"properties": {"b": {"items": item}}}}}
            for item in patterns(count)
        ]
    }


MORE = MOST_PATTERNS + 1


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": patterns(MORE)},
        {"items": {"anyOf": [{"allOf": patterns(MORE)}]}},
        nested(MORE),
        chain(MORE),
        {"$defs": {"a/b": {"anyOf": patterns(MORE)}}, "allOf": [{"$ref": "#/$defs/a~1b"}, {}]},
        {"allOf": [{"format": "date", **item} for item in patterns(MORE // 2 + 1)]},
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, *patterns(MORE)]}}, "$ref": "#/$defs/a"},
        {"allOf": [{"properties": {"$defs": item}} for item in patterns(MORE)]},
    ],
)
def test_patterns_that_meet_are_counted(schema):
    """Wherever they stand, below an allOf or along references, they are too many."""
    with pytest.raises(MealkitError, match="combines") as caught:
        check_patterns(schema, "response_format")
    found = caught.value.problems[0]
    assert (found.code, found.where) == ("REQUEST_UNSUPPORTED", "response_format")


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": patterns(MOST_PATTERNS)},
        {"properties": {f"p{place}": item for place, item in enumerate(patterns(100))}},
        {"anyOf": patterns(100)},
        chain(MOST_PATTERNS),
        {"$ref": "#"},
        {
            "$defs": {"a": {"properties": {f"p{n}": item for n, item in enumerate(patterns(50))}}},
            "properties": {"x": {"$ref": "#/$defs/a", "description": "d"}},
        },
        {"$ref": "#/nowhere", "type": "string"},
        {"$ref": "http://example.invalid/x", "type": "string"},
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        {},
    ],
)
def test_patterns_that_do_not_meet_are_not(schema):
    """A hundred fields with a pattern each are an ordinary schema; references may be anything."""
    check_patterns(schema, "response_format")


def test_doubling_references_are_counted_once_each():
    """A document that unfolds to 2^60 patterns is counted, not unfolded."""
    definitions = {
        f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(60)
    }
    definitions["d60"] = {"pattern": "a"}
    with pytest.raises(MealkitError, match=str(2**60)):
        check_patterns({"$defs": definitions, "$ref": "#/$defs/d0"}, "x")


def test_depth_is_no_way_around():
    """A schema that is nested deeper than can be counted is refused."""
    schema = {"pattern": "a"}
    for _ in range(100_000):
        schema = {"allOf": [schema]}
    with pytest.raises(MealkitError, match="nested too deeply"):
        check_patterns(schema, "x")


def test_many_references_to_one_list():
    """The list is counted once: ten thousand times ten thousand would take a minute."""
    schema = {"$defs": {"list": [{}] * 10_000}, "allOf": [{"$ref": "#/$defs/list"}] * 10_000}
    check_patterns(schema, "response_format")


def test_what_takes_llguidance_too_much_is_refused_before():
    """References that would end the process by their depth."""
    links = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(3_000)}
    schema = {"$defs": {**links, "d3000": {"type": "string"}}, "$ref": "#/$defs/d0"}
    with pytest.raises(MealkitError, match="levels"):
        Schemas(ScriptedModel()).constraint(schema, "response_format")
