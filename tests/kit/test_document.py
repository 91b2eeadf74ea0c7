"""YAML texts are read as JSON values with lines, and what other readers let pass is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.errors import Problem
from mealkit.kit.document import Document, read_document


def _only(text: str) -> Problem:
    _document, problems = read_document(text, "kit.yaml")
    assert len(problems) == 1, problems
    return problems[0]


def _values(text: str) -> object:
    document, problems = read_document(text, "kit.yaml")
    assert problems == []
    return document.data


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("2024-01-01", "2024-01-01"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0o10", 8),
        ("0xff", 255),
        ("3.10", 3.1),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
        ("'3.10'", "3.10"),
        ('"true"', "true"),
        ("!!str 3.10", "3.10"),
        ("! 3.10", "3.10"),
        ("!!float 3", 3.0),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_follow_the_core_schema(written, expected):
    """Only true and false are booleans, and nothing is a date or a base-60 number."""
    found = _values(f"key: {written}\n")
    assert found == {"key": expected}
    assert type(found["key"]) is type(expected)


def test_every_value_has_its_line():
    """Mappings, lists, scalars and flow values all know where they begin."""
    document, problems = read_document("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "k.yaml")
    assert problems == []
    assert document.where(("a",)) == "k.yaml:1"
    assert document.where(("b", 0)) == "k.yaml:3"
    assert document.where(("b", 1, "c")) == "k.yaml:4"
    assert document.where(("b", 1, "d")) == "k.yaml:5"


def test_a_missing_value_has_the_line_around_it():
    """What is not there is looked for where it would be."""
    document, _ = read_document("a:\n  b:\n    c: 1\n", "k.yaml")
    assert document.where(("a", "b", "nothing", "at", "all")) == "k.yaml:2"
    assert Document("k.yaml").where(("a",)) == "k.yaml:1"


def test_the_written_form_of_a_scalar_is_kept():
    """3.10 is the number 3.1, but a hint must say 3.10."""
    document, _ = read_document("python: 3.10\n", "k.yaml")
    assert document.spot(("python",)).raw == "3.10"


def test_merge_keys_are_followed():
    """``<<`` brings in what the mapping does not say itself; the earlier of two sources wins."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 0\n"
    assert _values(text)["c"] == {"x": 0, "y": 1, "z": 2}
    nested = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}\n"
    assert _values(nested)["c"] == {"x": 1, "y": 2}


def test_a_quoted_merge_key_is_a_key():
    """Only the plain ``<<`` merges."""
    assert _values('"<<": {a: 1}\n') == {"<<": {"a": 1}}


def test_an_aliased_value_stands_where_the_alias_is():
    """A problem in a value names the line that uses it."""
    document, _ = read_document("a: &a 1\nb: *a\n", "k.yaml")
    assert document.where(("b",)) == "k.yaml:2"


def test_a_duplicate_key_names_both_lines():
    """Other readers keep the last of two equal keys without a word."""
    found = _only("a: 1\nb: 2\na: 3\n")
    assert (found.code, found.where) == ("KIT_DUPLICATE_KEY", "kit.yaml:3")
    assert "lines 1 and 3" in found.message


def test_duplicate_keys_are_found_at_any_depth():
    """Nested, in flow mappings, in lists, and more than once."""
    _document, problems = read_document(
        "a:\n  b: {c: 1, c: 2}\n  d:\n  - e: 1\n    e: 2\n", "k.yaml"
    )
    assert [item.where for item in problems] == ["k.yaml:2", "k.yaml:5"]


def test_a_duplicate_in_an_anchored_part_is_told_once():
    """However often the part is used."""
    _, problems = read_document("a: &a {x: 1, x: 2}\nb: *a\nc: *a\n", "k.yaml")
    assert [item.code for item in problems] == ["KIT_DUPLICATE_KEY"]


def test_equal_keys_of_different_writing_are_duplicates():
    """Quotes do not make another key."""
    assert _only("a: 1\n'a': 2\n").code == "KIT_DUPLICATE_KEY"


@pytest.mark.parametrize(
    ("text", "where", "part"),
    [
        ("a: [1\n", "kit.yaml:1:4", "not YAML"),
        ("a: b: c\n", "kit.yaml:1:5", "mapping values are not allowed"),
        ("a:\n\tb: 1\n", "kit.yaml:2:1", "not YAML"),
        ("a: @x\n", "kit.yaml:1:4", "not YAML"),
        ("a: 1\n---\nb: 2\n", "kit.yaml:2:1", "second document"),
        ("", "kit.yaml:1:1", "empty"),
        ("# only a comment\n", "kit.yaml:1:1", "empty"),
        ("a: \x00b\n", "kit.yaml:1:4", "U+0000"),
        ("x: 1\na: \x1b[31m\n", "kit.yaml:2:4", "U+001B"),
        ("a: !!python/object/apply:os.system [ls]\n", "kit.yaml:1:4", "python/object"),
        ("a: !secret x\n", "kit.yaml:1:4", "!secret"),
        ("a: !!timestamp 2024-01-01\n", "kit.yaml:1:4", "timestamp"),
        ("a: *nobody\n", "kit.yaml:1:4", "&nobody"),
        ("[a]: 1\n", "kit.yaml:1", "key is not text"),
        ("<<: [1]\n", "kit.yaml:1", "not a mapping"),
        ("a: {}1{}\n".format("[" * 80, "]" * 80), "kit.yaml:1:67", "nest deeper"),
    ],
)
def test_what_is_no_document_is_a_syntax_problem(text, where, part):
    """The problem names line and column, and what stands there."""
    found = _only(text)
    assert (found.code, found.where) == ("KIT_SYNTAX", where)
    assert part in found.message
    assert found.hint


def test_tabs_get_their_own_hint():
    """The parser's own words for a tab help nobody."""
    assert "tabs" in _only("a:\n\tb: 1\n").hint


@pytest.mark.parametrize("written", [".inf", "-.INF", ".nan", "1e999", "9" * 30, "!!int x"])
def test_numbers_that_json_cannot_hold_are_refused(written):
    """Instead of failing later, or losing digits."""
    found = _only(f"a: 1\nb: {written}\n")
    assert (found.code, found.where) == ("KIT_INVALID", "kit.yaml:2")


def test_a_key_that_is_a_number_is_refused():
    """With the way to write it."""
    found = _only("3.10: x\n")
    assert (found.code, found.hint) == ("KIT_INVALID", 'write it in quotes: "3.10"')


def _laughs(depth: int, width: int) -> str:
    lines = [
        f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * width)}]"
        for level in range(1, depth)
    ]
    return "\n".join(["l0: &l0 [ha, ha]", *lines])


@pytest.mark.parametrize(
    "text",
    [
        _laughs(12, 10),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "a: &a\n  <<: *a\n",
        "\n".join(["x0: &x0 [1]", *(f"x{i}: &x{i} [*x{i - 1}]" for i in range(1, 3000))]),
        "\n".join(["x0: &x0 {a: 1}", *(f"x{i}: &x{i} {{<<: *x{i - 1}}}" for i in range(1, 3000))]),
        "\n".join(
            ["x0: &x0 {a: 1}"]
            + [f"x{i}: &x{i} {{<<: [{', '.join([f'*x{i - 1}'] * 9)}]}}" for i in range(1, 30)]
        ),
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100)}]\n",
    ],
    ids=["laughs", "self-list", "self-map", "self-merge", "chain", "merges", "fan", "long-text"],
)
def test_anchors_that_explode_are_refused(text):
    """Before memory or the interpreter's stack is used up."""
    found = _only(text)
    assert found.code == "KIT_ANCHOR_BOMB"
    assert found.where.startswith("kit.yaml:")


def test_ordinary_anchors_are_allowed():
    """A kit may name a part and use it a few times."""
    text = "a: &a [1, 2]\nb: [*a, *a]\n"
    assert _values(text) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!<'\"\n ,?|>#%@1.~\t"), max_size=60))
def test_any_text_is_read_or_refused(text):
    """Nothing but a document of JSON values, or problems with a place, ever comes out."""
    document, problems = read_document(text, "k.yaml")
    json.dumps(document.data, allow_nan=False)
    assert all(item.where.startswith("k.yaml:") for item in problems)


# YAML has no control characters, and no halves of a pair.
_text = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=8)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
        max_leaves=20,
    )
)
def test_json_is_read_as_itself(value):
    """JSON is YAML, so every JSON text gives its own values."""
    document, problems = read_document(json.dumps(value, ensure_ascii=False), "k.yaml")
    assert problems == []
    assert document.data == value
