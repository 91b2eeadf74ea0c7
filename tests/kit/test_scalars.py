"""A scalar means what YAML 1.2's core schema says, or is refused with what to write instead."""

import math

import pytest

from mealkit.kit.nodes import Scalar
from mealkit.kit.scalars import NUMBER, NotJson, scalar_value


def value(text, tag=None, *, plain=True):
    return scalar_value(Scalar(1, text, plain, tag))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("yes", "yes"), ("on", "on"), ("True", True), ("tRUE", "tRUE"), ("~", None), ("", None)),
        *(("0o17", 15), ("0x1F", 31), ("017", 17), ("-0", 0), ("+1", 1), ("1_000", "1_000")),
        *((".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015), ("1.2.3", "1.2.3")),
        *(("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("e3", "e3"), (".", ".")),
    ],
)
def test_a_plain_scalar_is_what_its_form_says(text, expected):
    """Words of YAML 1.1, times and dates are texts."""
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("text", ["true", "null", "1", "1.5", ".inf", "9" * 30])
def test_a_quoted_scalar_is_a_text(text):
    """So is one with the tag of a text."""
    assert value(text, plain=False) == value(text, "str") == text


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        *(("1.5", "int"), ("true", "int"), ("a", "int"), ("a", "float"), ("true", "float")),
        *(("1", "bool"), ("yes", "bool"), ("0", "null"), ("a", "map"), ("a", "seq")),
    ],
)
def test_a_scalar_that_contradicts_its_tag_is_refused(text, tag):
    """It is not converted."""
    with pytest.raises(NotJson, match=f"!!{tag}") as caught:
        value(text, tag)
    assert caught.value.hint == "delete the tag"


def test_a_whole_number_with_the_tag_of_a_float_is_a_float():
    """That is how it is written in YAML."""
    found = value("1", "float")
    assert (found, type(found)) == (1.0, float)


@pytest.mark.parametrize("text", ["9" * 21, "1e999", "-1e999", ".inf", "-.INF", ".nan", ".NaN"])
def test_a_number_that_json_cannot_hold_is_refused(text):
    """It could be meant as a text."""
    with pytest.raises(NotJson) as caught:
        value(text)
    assert "quotes" in caught.value.hint


def test_large_numbers_are_taken_up_to_the_limit():
    """Twenty characters, and floats as large as there are."""
    assert value("9" * 20) == 10**20 - 1
    assert math.isfinite(value("1.7e308"))


@pytest.mark.parametrize(
    ("text", "is_number"),
    [("1", True), ("0x1f", True), (".nan", True), ("1e5", True), ("1a", False), ("1\n", False)],
)
def test_what_would_be_read_as_a_number_is_known(text, is_number):
    """Importers quote it."""
    assert bool(NUMBER.match(text)) is is_number
