"""Names and patterns of a kit mean files of a place."""

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.sources.source import (
    hash_one_by_one,
    is_pattern,
    matches,
    require_digest,
    select,
)

NAMES = ["config.json", "a/model.onnx", "a/b/model.onnx", "Config.json", "[x].json"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["config.json"], ["config.json"]),
        (["*.json"], ["Config.json", "[x].json", "config.json"]),
        (["a/*"], ["a/b/model.onnx", "a/model.onnx"]),
        (["*.onnx", "a/model.onnx"], ["a/b/model.onnx", "a/model.onnx"]),
        (["[x].json"], ["[x].json"]),
        (["?onfig.json"], ["Config.json", "config.json"]),
        ([], []),
    ],
)
def test_patterns_mean_these_files(patterns, expected):
    """Sorted, each once; a star crosses slashes, and a name is itself before it is a pattern."""
    assert select([*NAMES, *NAMES], patterns, "here") == expected


@pytest.mark.parametrize("pattern", ["none.json", "*.bin", "a"])
def test_a_pattern_that_means_nothing_is_not_found(pattern):
    """Also where another one means something."""
    with pytest.raises(MealkitError, match="SOURCE_NOT_FOUND"):
        select(NAMES, ["config.json", pattern], "here")


def test_a_file_whose_name_no_lock_can_have_is_refused_only_if_it_is_meant():
    """With the code of its place, and without its control characters."""
    names = ["good.json", "../bad.json", "a\nb.bin"]
    assert select(names, ["good.json"], "here") == ["good.json"]
    with pytest.raises(MealkitError, match="SOURCE_ANSWER"):
        select(names, ["*.json"], "here")
    with pytest.raises(MealkitError, match="WHEEL_INVALID") as caught:
        select(names, ["*.bin"], "here", "WHEEL_INVALID")
    assert caught.value.problems[0].message.isprintable()


def test_a_pattern_is_told_from_a_name():
    """By three signs."""
    assert [is_pattern(text) for text in ("a*", "a?", "[a]", "a]", "a/b.c")] == [
        *(True, True, True, False, False)
    ]
    assert matches("a[1].bin", ["a[1].bin"])


def test_files_are_hashed_in_their_order(tmp_path):
    """One digest for each."""
    paths = [tmp_path / "b", tmp_path / "a"]
    for path in paths:
        path.write_bytes(path.name.encode())
    assert hash_one_by_one(paths) == [Digest.of(b"b"), Digest.of(b"a")]


def test_other_bytes_than_expected_are_refused_with_both_digests():
    """Where nothing is expected, anything is right."""
    one, two = Digest.of(b"1"), Digest.of(b"2")
    require_digest("a", None, one, "here")
    require_digest("a", one, one, "here")
    with pytest.raises(MealkitError, match=f"SOURCE_DIGEST.*{one}.*{two}"):
        require_digest("a", one, two, "here")
