"""Two recipes are compared value by value, in the words of the recipe."""

import pytest

from mealkit.lock.compare import Change, compare, without_restatements


def changes(before, after):
    return [(item.path, item.before, item.after) for item in compare(before, after)]


@pytest.mark.parametrize("value", [None, 1, "a\nb", [], {}, [{"name": "a"}], {"a": [1, {"b": 2}]}])
def test_equal_values_have_no_differences(value):
    """Whatever their type."""
    assert changes(value, value) == []


def test_each_difference_has_its_path_in_order():
    """What is absent on a side is None there."""
    before = {"b": {"x": 1, "y": 2}, "a": "old", "gone": True}
    after = {"b": {"x": 1, "y": 3}, "a": "new", "come": False}
    assert changes(before, after) == [
        ("a", "old", "new"),
        ("b.y", 2, 3),
        ("come", None, False),
        ("gone", True, None),
    ]


def test_named_items_are_compared_in_any_order():
    """A package that moved in its list has not changed."""
    before = [{"name": "a", "version": "1"}, {"name": "b", "version": "1"}]
    after = [{"name": "b", "version": "2"}, {"name": "a", "version": "1"}]
    assert changes({"packages": before}, {"packages": after}) == [("packages.b.version", "1", "2")]


def test_a_file_is_known_by_its_path_before_its_name():
    """Files of one name in two folders are two files."""
    before = [{"path": "a/x", "name": "x", "size": 1}, {"path": "b/x", "name": "x", "size": 2}]
    after = [before[0], {**before[1], "size": 3}]
    assert changes(before, after) == [("b/x.size", 2, 3)]


def test_an_item_that_came_or_went_is_told_whole():
    """Nobody has to guess which package it was."""
    item = {"name": "a", "version": "1"}
    assert changes([], [item]) == [("a", None, item)]
    assert changes([item], []) == [("a", item, None)]


@pytest.mark.parametrize(
    ("before", "after"),
    [([1, 2], [2, 1]), ([1], []), ([{"name": "a"}, 1], [{"name": "a"}, 2]), (1, "1"), ({}, [])],
)
def test_values_of_other_forms_are_told_whole(before, after):
    """The order of a plain list is part of it."""
    assert changes({"x": before}, {"x": after}) == [("x", before, after)]


def test_lines_of_a_text_are_told_one_by_one():
    """Lines that were changed, added and taken away, each at its place in the old text."""
    assert changes("a\nb\nc\n", "a\nB\nc\nd\n") == [(":2", "b", "B"), (":4", None, "d")]
    assert changes({"t": "a\nb\n"}, {"t": "b\n"}) == [("t:1", "a", None)]


def test_a_last_line_break_is_a_difference():
    """It changes the bytes, and so the digest."""
    assert changes({"t": "a\n"}, {"t": "a"}) == [("t", "a\n", "a")]


def test_texts_of_one_line_are_told_whole():
    """There is no line to name."""
    assert changes({"t": "a"}, {"t": "b"}) == [("t", "a", "b")]


def test_a_change_is_written_as_json():
    """Path, before and after."""
    assert Change("a", 1, None).as_json() == {
        "path": "a",
        "before": 1,
        "after": None,
        "effect": "may-change",
    }


def test_what_restates_another_change_is_left_out():
    """A digest beside its text, a file name beside its version, a request beside what it led to."""
    paths = [
        *("prompts.a.sha256", "prompts.a.text:2", "code.h.py.text:1", "code.h.py.sha256"),
        *("engine.packages.x.version", "engine.packages.x.filename", "engine.packages.x.sha256"),
        *("model.files.w.sha256", "model.files.w.size_bytes", "requests.packages"),
        "engine.requested",
    ]
    told = without_restatements([Change(path, 1, 2) for path in paths])
    assert [change.path for change in told] == [
        *("prompts.a.text:2", "code.h.py.text:1", "engine.packages.x.version"),
        "model.files.w.sha256",
    ]
    alone = [Change("requests.packages", 1, 2)]
    assert without_restatements(alone) == alone
