"""Sizes as people write them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mealkit.strings import Size
from mealkit.units import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0B", 0),
        ("1 B", 1),
        ("16GiB", 16 * 2**30),
        ("1.5 TB", 1_500_000_000_000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("0.3B", 0),
        ("8388607TiB", 8388607 * 2**40),
    ],
)
def test_a_size_is_a_number_and_a_unit(text, size_bytes):
    """Decimal and binary units are told apart, with one blank or none before them."""
    assert parse_size(text) == size_bytes
    assert TypeAdapter(Size).validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "16", "GiB", "16gib", "16 GIB", "16  GiB", " 16GiB", "16GiB\n", "-1B", "1e3B"),
        *("1,5GB", ".5GB", "5.GB", "٣GiB", "16GiBs", "8388608TiB", "9" * 400 + "GiB"),
    ],
)
def test_what_is_no_size_is_refused(text):
    """A number without a unit, an unknown unit, and a size beyond 64 bits are refused."""
    with pytest.raises(ValueError, match="size"):
        parse_size(text)
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(text)


def test_a_number_is_not_a_size():
    """Bytes without their unit are refused even where they are not a text."""
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(1024)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (2**20 - 1, "1024.0 KiB"),
        (3 * 2**29, "1.5 GiB"),
        (2**40, "1.0 TiB"),
        (5000 * 2**40, "5000.0 TiB"),
        (-(2**20), "-1.0 MiB"),
    ],
)
def test_bytes_are_shown_in_binary_units(size_bytes, text):
    """The largest unit that leaves a number of one or more is used, TiB at most."""
    assert show_size(size_bytes) == text
