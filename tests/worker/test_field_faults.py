"""Pydantic's errors, as fields and reasons."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from mealkit.worker.field_faults import field_faults, known_names, likely


class Point(BaseModel, extra="forbid"):
    x: int
    y: int


class Named(BaseModel, extra="forbid"):
    name: Literal["origin", "pole"]


@dataclass
class Shape:
    points: list[Point | Named]
    where: Point | str | None = None


def checked(number: int) -> int:
    if number == 3:
        raise AssertionError("three is taken")
    if number == 4:
        raise ValueError("Four is odd. Really.")
    if number == 5:
        raise ValueError
    return number


def faults(kind, values):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(values, strict=True)
    found = caught.value.errors(include_url=False, include_input=False)
    return [(fault.path, fault.reason) for fault in field_faults(found, values)]


@pytest.mark.parametrize(
    ("number", "said"),
    [(3, "three is taken"), (4, "Four is odd. Really"), (5, "is not valid")],
)
def test_validators_speak_for_themselves(number, said):
    """Without the library's prefix, in their own capitals."""
    assert faults(Annotated[int, AfterValidator(checked)], number) == [("", said)]


def test_the_likely_alternative_counts():
    """That of the deepest error; where all are equally deep, all reasons are told."""
    should = "should be a valid dictionary or instance of"
    assert faults(list[Point | Named], [{"name": "pole"}, {"x": 1}, 7]) == [
        ("[1].y", "field required"),
        ("[2]", " or ".join(f"{should} {name}" for name in ("Point", "Named"))),
    ]
    assert faults(list[str] | str, ["a", 1, 2]) == [
        ("[1]", "should be a valid string"),
        ("[2]", "should be a valid string"),
    ]
    assert faults(int | str | None, []) == [
        ("", "should be a valid integer or should be a valid string")
    ]


def test_few_of_many_are_read():
    """A list of a million mistakes takes no time for each."""
    assert len(faults(list[int], ["x"] * 1000)) == 100


def test_names_of_fields_by_their_place():
    """Through lists, unions and dataclasses."""
    assert known_names(Shape, ()) == ["points", "where"]
    assert known_names(Shape, ("points", 3, "Named")) == ["name"]
    assert known_names(Shape, ("where", "Point")) == ["x", "y"]
    assert known_names(Shape, ("points", 0)) == ["x", "y", "name"]
    assert known_names(Shape, ("nowhere",)) == ["points", "where"]


@pytest.mark.parametrize(
    ("name", "found"),
    [("txt", "text"), ("TEXT", "text"), ("zzz", None), (7, None), ("text" * 10**6, None)],
)
def test_what_was_probably_meant(name, found):
    """By likeness, whatever the capitals; long names cost nothing."""
    assert likely(name, ["text", "top"]) == found
