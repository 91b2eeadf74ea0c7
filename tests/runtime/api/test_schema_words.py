"""JSON Schemas in a word or two."""

import pytest

from mealkit.runtime.api.schema_words import objects_of, words_of


def said(schema):
    return "".join(text for text, _ in words_of(schema))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any JSON"),
        ({"type": "string"}, "string"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "integer from 0 to 9"),
        (
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "number above 0 below 1",
        ),
        ({"const": "auto"}, "auto"),
        ({"const": True}, "true"),
        ({"enum": ["a", None, 2]}, "a | 2"),
        ({"enum": [None]}, "null"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"type": "array"}, "list of any JSON"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"oneOf": [{"type": "string"}, {"type": "string"}, {"const": 1}]}, "string | 1"),
    ],
)
def test_a_schema_is_said_in_words(schema, words):
    """Types, bounds and choices are named; null and what was said before are not."""
    assert said(schema) == words


def test_an_object_is_named_and_marked():
    """What is described elsewhere is a name that can become a link."""
    assert words_of({"$ref": "#/components/schemas/Tool"}) == [("Tool", True)]
    assert words_of({"type": "array", "items": {"$ref": "#/x/Tool"}}) == [
        ("list of ", False),
        ("Tool", True),
    ]


def test_all_objects_are_found_once():
    """References are followed through and through, also where they meet again."""
    schemas = {
        "A": {"properties": {"b": {"$ref": "#/x/B"}, "c": [{"$ref": "#/x/C"}]}},
        "B": {"$ref": "#/x/A"},
        "C": {"$ref": "#/x/missing"},
        "D": {},
    }
    assert objects_of({"$ref": "#/x/A"}, schemas) == ["A", "B", "C"]
