"""Inputs from a command line get the types that a kit's own schema states."""

import base64

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.ask.input_values import InputSchema, typed_input

FORM = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "top": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "share": {"type": "number"},
        "exact": {"type": "boolean"},
        "mode": {"enum": ["fast", "slow", 3]},
        "one": {"const": "only"},
        "words": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "some": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "box": {"$ref": "#/components/schemas/Box"},
        "image": {"type": "string", "format": "data-url"},
        "images": {"type": "array", "items": {"type": "string", "format": "data-url"}},
        "anything": {},
    },
    "additionalProperties": False,
}
SCHEMA = InputSchema(FORM, {"components": {"schemas": {"Box": {"type": "object"}}}})


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (["text=3"], {"text": "3"}),
        (["text="], {"text": ""}),
        (["text=a=b"], {"text": "a=b"}),
        (["text=@@home"], {"text": "@home"}),
        (["top=3"], {"top": 3}),
        (["numbers=1.0", "numbers=-2"], {"numbers": [1, -2]}),
        (["top=null"], {"top": None}),
        (["share=0.5"], {"share": 0.5}),
        (["share=2"], {"share": 2}),
        (["exact=true"], {"exact": True}),
        (["exact=No"], {"exact": False}),
        (["mode=slow"], {"mode": "slow"}),
        (["mode=3"], {"mode": 3}),
        (["one=only"], {"one": "only"}),
        (["words=salt"], {"words": ["salt"]}),
        (["words=salt", "words=pepper"], {"words": ["salt", "pepper"]}),
        (['words=["salt", "pepper"]'], {"words": ["salt", "pepper"]}),
        (["numbers=1", "numbers=2"], {"numbers": [1, 2]}),
        (["some=salt"], {"some": "salt"}),
        (["some=salt", "some=sea"], {"some": ["salt", "sea"]}),
        (['box={"deep": [1]}'], {"box": {"deep": [1]}}),
        (["anything=[1, 2]"], {"anything": [1, 2]}),
        (["anything=plain words"], {"anything": "plain words"}),
    ],
)
def test_a_value_has_the_type_of_its_field(given, value):
    """A text stays a text, even if it looks like a number."""
    assert typed_input(given, SCHEMA) == value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("top=many", "a whole number or null"),
        ("top=1.5", "a whole number"),
        ("top=true", "a whole number"),
        ("share=NaN", "a number"),
        ("exact=perhaps", "true or false"),
        ("mode=medium", "one of fast, slow, 3"),
        ("box=[1]", "a JSON object"),
        ("numbers=a", "a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_fits(given, said):
    """The caller owns it; the message has the value, and the hint what to give."""
    with pytest.raises(MealkitError) as raised:
        typed_input([given], SCHEMA)
    (found,) = raised.value.problems
    assert (found.code, found.owner) == ("REQUEST_INVALID", "caller")
    assert said in found.hint
    assert given.partition("=")[2] in found.message
    assert found.where == f"-i {given.partition('=')[0]}"


def test_an_unknown_name_is_answered_with_the_nearest():
    """And with the names that the kit has."""
    with pytest.raises(MealkitError, match="'txt'") as raised:
        typed_input(["txt=a"], SCHEMA)
    assert "did you mean 'text'?" in raised.value.problems[0].hint
    assert "numbers" in raised.value.problems[0].hint


@pytest.mark.parametrize("given", ["text", "=a", ""])
def test_what_is_no_pair_is_a_wrong_command_line(given):
    """With an example in the hint."""
    with pytest.raises(MealkitError, match="NAME=VALUE") as raised:
        typed_input([given], SCHEMA)
    assert raised.value.exit_code == 2


def test_a_field_that_is_no_list_is_given_once():
    """Which of two values counts would be a guess."""
    with pytest.raises(MealkitError, match="one value, and 2 are given"):
        typed_input(["text=a", "text=b"], SCHEMA)


def test_a_file_becomes_a_data_url_where_the_kit_takes_a_file(tmp_path):
    """With the type that its name suggests; its content is otherwise a text, or JSON."""
    picture, text = tmp_path / "cat.png", tmp_path / "words.json"
    picture.write_bytes(b"\x89PNG\xff")
    text.write_text('{"deep": 1}')
    url = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    assert typed_input([f"image=@{picture}"], SCHEMA) == {"image": url}
    assert typed_input([f"images=@{picture}", f"images=@{picture}"], SCHEMA) == {
        "images": [url] * 2
    }
    assert typed_input([f"text=@{text}"], SCHEMA) == {"text": '{"deep": 1}'}
    assert typed_input([f"box=@{text}"], SCHEMA) == {"box": {"deep": 1}}


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A missing one, a folder, and bytes where a text is wanted."""
    (tmp_path / "raw.bin").write_bytes(b"\xff\xfe\x00")
    for path, code in (("none", "USAGE"), (".", "USAGE"), ("raw.bin", "REQUEST_INVALID")):
        with pytest.raises(MealkitError) as raised:
            typed_input([f"text=@{tmp_path / path}"], SCHEMA)
        assert raised.value.problems[0].code == code


def test_references_that_turn_in_a_circle_end():
    """A hostile description hangs nothing: such a field takes any value."""
    circle = {"properties": {"text": {"$ref": "#/a"}}}
    schema = InputSchema(circle, {"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}})
    assert typed_input(["text=1"], schema) == {"text": 1}


def test_a_whole_number_is_sent_as_one():
    """JSON Schema takes 1.0 for an integer; the kit's code, which is in Python, does not."""
    value = typed_input(["top=1.0"], SCHEMA)["top"]
    assert (value, type(value)) == (1, int)
