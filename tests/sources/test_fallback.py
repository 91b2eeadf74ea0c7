"""A place that fails is replaced by the next; what no place is at fault for is not hidden."""

from pathlib import Path

import pytest

from mealkit.errors import MealkitError, failure
from mealkit.recipe.weight_places import FolderPlace, FolderWeights, HttpPlace, HubPlace, WheelPlace
from mealkit.sources.fallback import first_that_works, is_place_fault, open_place, path_in_image
from mealkit.sources.http import HttpReader
from mealkit.sources.hub import HubReader
from mealkit.sources.kit_folder import FolderReader
from mealkit.sources.wheel import WheelReader


def attempt_of(**codes):
    """Fail at each place with its code, or give the place's name."""

    def attempt(reader):
        if reader in codes:
            raise failure(codes[reader], f"{reader} failed")
        return reader

    return attempt


def test_the_first_place_that_works_is_taken():
    """With the problems of those before it, in their order."""
    found, problems = first_that_works(
        ["a", "b", "c", "d"], attempt_of(a="SOURCE_UNREACHABLE", b="WHEEL_INVALID")
    )
    assert found == "c"
    assert [item.code for item in problems] == ["SOURCE_UNREACHABLE", "WHEEL_INVALID"]
    assert first_that_works(["d", "a"], attempt_of(a="SOURCE_DENIED")) == ("d", [])


def test_where_all_fail_the_most_telling_problem_stands_first():
    """Wrong bytes say more than no answer."""
    codes = {"a": "SOURCE_UNREACHABLE", "b": "SOURCE_NOT_FOUND", "c": "SOURCE_DIGEST"}
    with pytest.raises(MealkitError) as caught:
        first_that_works(list(codes), attempt_of(**codes))
    assert [item.code for item in caught.value.problems] == [
        *("SOURCE_DIGEST", "SOURCE_NOT_FOUND", "SOURCE_UNREACHABLE")
    ]


def test_the_same_problem_is_told_once():
    """Two mirrors of one host are down for one reason."""

    def attempt(_reader):
        raise failure("SOURCE_UNREACHABLE", "down")

    with pytest.raises(MealkitError) as caught:
        first_that_works(["a", "b"], attempt)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("code", ["DISK_FULL", "WEIGHTS_PICKLE", "LOCK_STALE"])
def test_what_is_not_a_places_fault_ends_at_once(code):
    """A mirror would not help."""
    with pytest.raises(MealkitError, match=code) as caught:
        first_that_works(["a", "b"], attempt_of(a=code))
    assert not is_place_fault(caught.value)


@pytest.mark.parametrize(
    ("place", "reader"),
    [
        (HubPlace(source="hub", repo="a/b", revision="0" * 40), HubReader),
        (WheelPlace(source="wheel", package="a", version="1", prefix="p"), WheelReader),
        (HttpPlace(source="http", url="https://a.invalid/x"), HttpReader),
        (FolderPlace(source="folder", path="weights"), FolderReader),
    ],
)
def test_each_kind_of_place_has_its_adapter(supplies, tmp_path, place, reader):
    """Opening it asks for nothing."""
    opened = open_place(place, tmp_path, supplies)
    assert type(opened) is reader
    opened.close()


@pytest.mark.parametrize(("into", "expected"), [(None, "a/b"), ("x/", "x/a/b"), ("x/y", "x/y/a/b")])
def test_a_file_stands_where_its_entry_says(into, expected):
    """Below the folder of the entry, if it names one."""
    entry = FolderWeights(source="folder", path="p", files=("a/b",), into=into)
    assert path_in_image(entry, str(Path("a") / "b")) == expected
