"""Names and paths that others wrote: what they may have, and where they may lead."""

from pathlib import Path

import pytest

from mealkit.names import clash, inside, line_fault, lines_fault, one_line, path_fault
from mealkit.untrusted import UntrustedError

HIDDEN = [
    *("\0", "\n", "\r", "\t", "\x0b", "\x1b", "\x7f", "\x85", "\x9b"),
    *("\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\u200e", "\u061c"),
    *("\ufeff", "\ud800", "\udfff", "\U000e0041"),
]


@pytest.mark.parametrize("character", HIDDEN)
def test_no_name_and_no_path_has_a_character_that_cannot_be_seen(character):
    """Controls, line separators, directions of writing, tags and halves of pairs are refused."""
    assert line_fault(f"a{character}b")
    assert path_fault(f"folder/a{character}b")
    assert character not in one_line(f"a{character}b")


@pytest.mark.parametrize(
    "text", ["a b", "Ünïcödé", "日本語", "مرحبا", "na\u200dme", "$HOME `id` \"q\" 'q' #", "🍲"]
)
def test_what_can_be_seen_is_a_name(text):
    """Spaces, quotes, signs of shells and every script are data."""
    assert line_fault(text) is None
    assert path_fault(text) is None
    assert one_line(text) == text


def test_texts_of_several_lines_have_line_breaks_and_nothing_else_hidden():
    """A description may stand on several lines; a terminal's escape may not stand in it."""
    assert lines_fault("one\n\ttwo\n") is None
    assert lines_fault("one\x1b[2J") is not None


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/", "/etc/passwd", "../x", "a/../../x", "a/..", "a/./b", "./a", "a//b"),
        *("a/", "a\\b", "C:\\x", "a" * 256, "ä" * 128, "a/" * 512 + "a"),
    ],
)
def test_paths_that_leave_their_folder_or_have_another_spelling_are_refused(path, tmp_path):
    """A path has one spelling, a length that file systems take, and stays below its folder."""
    assert path_fault(path)
    with pytest.raises(UntrustedError):
        inside(tmp_path, path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "...", "..a/b..", "a" * 255, "-rf", "~/x"])
def test_other_paths_stay_below_their_folder(path, tmp_path):
    """Dots in a name, dashes and tildes mean nothing."""
    assert path_fault(path) is None
    assert inside(tmp_path, path) == Path(tmp_path, path)


@pytest.mark.parametrize(
    "paths", [["a", "a"], ["a", "a/b"], ["a/b/c", "a"], ["caf\u00e9", "cafe\u0301"]]
)
def test_paths_that_cannot_both_be_there_clash(paths):
    """A file is no folder, and two paths that look the same are one."""
    assert clash(paths)
    assert clash(["a", "b/a", "ab", "A"]) is None
