"""A value for the example of a prediction, made from the schema that the worker states."""

import json

import pytest

from mealkit.runtime.api.example_values import sample, stated_example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 6}, "text.."),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "number", "maximum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "integer", "default": 7, "minimum": 3}, 7),
        ({"type": "string", "examples": ["a", "b"], "default": "c"}, "a"),
        ({"enum": ["x", "y"]}, "x"),
        ({"const": 4}, 4),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"anyOf": [{"type": "integer"}], "default": 9}, 9),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"type": "string"}},
                "required": ["a"],
                "$defs": {"A": {"type": "boolean"}},
            },
            {"a": True},
        ),
        ({"$ref": "#/$defs/none"}, None),
        ({}, None),
    ],
)
def test_what_a_schema_states_is_taken_first(schema, value):
    """An example, a default or a constant wins over a plain value of the type."""
    assert sample(schema) == value


def test_a_schema_that_refers_to_itself_has_an_end():
    """Fields that repeat the whole schema do not multiply without a bound."""
    names = [f"field{number}" for number in range(200)]
    node = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/Node"} for name in names},
        "required": names,
    }
    made = json.dumps(sample({"$defs": {"Node": node}, "$ref": "#/$defs/Node"}))
    assert len(made) < 1_000_000
    assert sample({"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"}) is None


def test_a_long_text_is_not_written_out():
    """A minimum length of gigabytes takes no gigabytes."""
    assert len(sample({"type": "string", "minLength": 10**12})) == 1000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": "a", "maxLength": []},
        {"type": "string", "maxLength": -1},
        {"type": "object", "properties": [], "required": ["a"]},
        {"type": "object", "properties": {}, "required": 5},
        {"type": "object", "properties": {}, "required": [[1], {}]},
        {"type": ["string"]},
        {"anyOf": {}, "enum": 3},
        {"$ref": 5},
    ],
)
def test_what_is_no_schema_has_some_value(schema):
    """The worker's own words about its input cannot make the gateway fail."""
    json.dumps(sample(schema))
    stated_example(schema)
    stated_example({"properties": {"a": schema}, "required": ["a"]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"examples": ["salt"], "default": "oil"}, "salt"),
        ({"type": "string", "enum": ["a", "b"]}, "a"),
        ({"const": 5}, 5),
        ({"$ref": "#/$defs/Example"}, {"x": 1}),
        ({"$ref": "#/$defs/Complete"}, {}),
        ({"$ref": "#/$defs/Needy"}, None),
        ({"$ref": "#/$defs/Loop"}, None),
        ({"type": "string"}, None),
        ({"type": "boolean"}, None),
    ],
)
def test_only_what_the_author_stated_is_an_example(field, value):
    """A required field without it leaves the input without an example."""
    schema = {
        "properties": {"a": field, "b": {"default": 1}},
        "required": ["a"],
        "$defs": {
            "Example": {"type": "object", "examples": [{"x": 1}]},
            "Complete": {"type": "object", "properties": {"x": {"default": 1}}},
            "Needy": {"type": "object", "required": ["x"]},
            "Loop": {"$ref": "#/$defs/Loop"},
        },
    }
    assert stated_example(schema) == (({"a": value}, "") if value is not None else (None, "a"))
