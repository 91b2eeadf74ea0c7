"""Parts of a form as the values that a schema wants."""

import pytest

from mealkit.errors import RequestError
from mealkit.runtime.api.form_data import Part
from mealkit.runtime.api.form_values import form_values

SCHEMA = {
    "$defs": {
        "File": {"type": "string", "format": "data-url"},
        "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "array", "items": {"$ref": "#/$defs/Loop"}}]},
        "Deep": {"type": "array", "items": {"$ref": "#/$defs/Deep"}},
    },
    "properties": {
        "text": {"type": "string"},
        "number": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "one": {"enum": [1, 2]},
        "file": {"anyOf": [{"$ref": "#/$defs/File"}, {"type": "null"}]},
        "files": {"type": "array", "items": {"$ref": "#/$defs/File"}},
        "object": {"type": "object"},
        "loop": {"$ref": "#/$defs/Loop"},
        "deep": {"$ref": "#/$defs/Deep"},
        "model": {"type": "string"},
        "any": {},
        "odd": 7,
        "lost": {"$ref": "#/$defs/Nothing"},
    },
}  # fmt: skip


def values(*parts, schema=SCHEMA, most=1000):
    return form_values(parts, schema, most)


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        ("text", b"7", "7"),
        ("number", b"7", 7),
        ("number", b" -1.5e3", -1500.0),
        ("number", b"null", None),
        ("number", b"seven", "seven"),
        ("number", b"NaN", "NaN"),
        ("number", b"1" * 500, "1" * 500),
        ("either", b"7", "7"),
        ("one", b"2", 2),
        ("object", b' {"a": 1}', {"a": 1}),
        ("any", b"7", "7"),
        ("odd", b"7", "7"),
        ("lost", b"7", "7"),
        ("unknown", b"7", "7"),
        ("file", b"https://elsewhere.example/a", "https://elsewhere.example/a"),
    ],
)
def test_a_text_is_what_the_schema_wants(name, data, value):
    """A number where it can only be one; a text that is none stays one, for the error about it."""
    assert values(Part(name, data)) == {"input": {name: value}}


def test_files():
    """As data: URLs with their names, each where the kit takes one; elsewhere their text."""
    assert values(Part("file", b"abc", "a b.png", "image/png")) == {
        "input": {"file": "data:image/png;name=a%20b.png;base64,YWJj"}
    }
    assert values(Part("files", b"a", "", ""), Part("files", b"", "x")) == {
        "input": {"files": [
            "data:application/octet-stream;base64,YQ==",
            "data:application/octet-stream;name=x;base64,",
        ]}
    }  # fmt: skip
    assert values(Part("text", "é".encode(), "notes.txt")) == {"input": {"text": "é"}}
    assert values(Part("object", b'{"a": 1}', "o.json", "application/json")) == {
        "input": {"object": {"a": 1}}
    }


def test_parameters_beside_inputs():
    """Those of the request, unless the kit has an input of that name."""
    found = values(Part("seed", b"4"), Part("stream", b"true"), Part("model", b"m"))
    assert found == {"seed": 4, "stream": True, "input": {"model": "m"}}
    assert values(Part("model", b"7"), schema={}) == {"model": "7", "input": {}}
    assert values(Part("input", b"[1]", None, "application/json")) == {"input": [1]}


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ([Part("text", b"a"), Part("text", b"b")], "input.text"),
        ([Part("seed", b"1"), Part("seed", b"1")], "seed"),
        ([Part("input", b"{")], "input"),
        ([Part("input", b'{"text": "a"}'), Part("text", b"b")], "input.text"),
        ([Part("text", b"\xff", "a.bin")], "input.text"),
        ([Part("object", b"{]")], "input.object"),
        ([Part("object", b"{" + b'"a":{' * 1000)], "input.object"),
        ([Part("files", b"x" * 600, "a"), Part("file", b"x" * 401, "b")], "input"),
    ],
)
def test_what_cannot_be_a_value_is_refused_by_its_name(parts, where):
    """What is given twice, is no JSON or no text, or has too many bytes."""
    with pytest.raises(RequestError) as caught:
        values(*parts)
    assert caught.value.problems[0].where == where


@pytest.mark.parametrize("name", ["loop", "deep"])
def test_a_schema_that_refers_to_itself_has_an_end(name):
    """Whatever a kit's schema is like, a request is answered."""
    assert name in values(Part(name, b"1"))["input"]


def test_a_file_that_was_not_chosen_is_left_out():
    """A browser sends a part without name and content for it; an empty file has a name."""
    unchosen = Part("file", b"", "", "application/octet-stream")
    assert values(unchosen, Part("text", b"")) == {"input": {"text": ""}}
    assert values(Part("files", b"", ""), Part("files", b"", "a"))["input"].keys() == {"files"}
    assert "name=a" in values(Part("file", b"", "a"))["input"]["file"]
