"""A YAML text becomes a tree whose parts know their lines, or is refused with a place."""

import pytest

from mealkit.kit.nodes import (
    MAX_DEPTH,
    MAX_SOURCE_NODES,
    MappingNode,
    Scalar,
    SequenceNode,
    Syntax,
    compose,
)


def refused(text):
    with pytest.raises(Syntax) as caught:
        compose(text)
    return caught.value


def test_every_part_has_its_line_and_its_form():
    """Quotes and tags are kept, because they decide what a scalar means."""
    root = compose('a: 1\nb:\n  - "x"\n  - !!int 2\n')
    assert isinstance(root, MappingNode)
    (key, line, value), (_, _, items) = root.entries
    assert (key, line, value) == (Scalar(1, "a", True, None), 1, Scalar(1, "1", True, None))
    assert isinstance(items, SequenceNode)
    assert items.items == [
        (3, Scalar(3, "x", plain=False, tag=None)),
        (4, Scalar(4, "2", plain=True, tag="int")),
    ]


def test_an_alias_is_the_part_that_it_names():
    """Its line is where the alias stands."""
    root = compose("a: &x [1]\nb: *x\nc:\n  - *x\n")
    (_, _, first), (_, _, second), (_, _, items) = root.entries
    assert second is first
    assert items.items == [(4, first)]


def test_only_a_plain_merge_key_merges():
    """In quotes it is a name."""
    assert compose("<<: {a: 1}\n").has_merge
    assert not compose("'<<': {a: 1}\n").has_merge


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("", 1, 1, "the file is empty"),
        ("# nothing\n", 1, 1, "the file is empty"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document"),
        ("a: *x\n", 1, 4, "the anchor &x does not exist"),
        ("a: !!python/name:os.system x\n", 1, 4, "has no meaning in a kit"),
        ("a: !own [1]\n", 1, 4, "the tag !own"),
        ("a: b\nc: \x07\n", 2, 4, "the character U+0007"),
        ("\x00", 1, 1, "U+0000"),
    ],
)
def test_what_no_kit_may_be_is_refused_with_its_place(text, line, column, said):
    """By line and column, as editors count them."""
    found = refused(text)
    assert (found.line, found.column) == (line, column)
    assert said in found.message
    assert not found.too_large


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\t- b\n", "spaces, not with tabs"),
        ("a: b: c\n", "put the value in quotes"),
        ("a: @b\n", "put the value in quotes"),
        ("a: 1\nb\n", "write `key: value`"),
    ],
)
def test_a_slip_gets_advice(text, hint):
    """The four that people make most often."""
    assert hint in (refused(text).hint or "")


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> b\n", 1, "keep one of the two versions"),
        ("run:\n  engine:python\n  code: []\n", 2, "write engine: python"),
        ("run:\n  engine python\n  code: []\n", 2, "write engine: python"),
        ("a:\n  files: [one\nb: 1\nc: 2\n", 2, None),
        ("about: |\n  two words\n  three\n  four\nfiles: [one\nb: 1\n", 5, None),
        ("files: [*.json]\n", 1, "put the value in quotes"),
        ("files: *.json\n", 1, "put the value in quotes"),
    ],
)
def test_a_slip_is_named_where_it_is(text, line, hint):
    """Not where the parser gave up."""
    found = refused(text)
    assert found.line == line
    assert (found.hint or "").startswith(hint or "")


def test_a_part_that_contains_itself_is_too_large():
    """It would have no end."""
    assert refused("a: &x [*x]\n").too_large
    assert refused("a: &x {b: {c: *x}}\n").too_large


def test_parts_nest_so_deep_and_no_deeper():
    """The limit itself is allowed."""
    assert compose("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert "nest deeper" in refused("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).message


def test_a_kit_has_so_many_values_and_no_more():
    """The list itself is one of them."""
    assert compose("- 1\n" * (MAX_SOURCE_NODES - 1))
    assert "more than" in refused("- 1\n" * MAX_SOURCE_NODES).message
