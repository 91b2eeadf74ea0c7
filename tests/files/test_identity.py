"""A file's identity changes with the file, and with nothing else."""

import os
from pathlib import Path

import pytest

from mealkit.files.identity import FileKey, path_of, text_of


def test_a_key_is_kept_as_json():
    """What was written is read again; anything else is refused."""
    key = FileKey(1, 2, 3, 4, 5)
    assert FileKey.from_json(key.as_json()) == key
    for broken in (None, {}, [1], [1, 2, 3, 4, True], [1, 2, 3, 4, "5"]):
        with pytest.raises(ValueError, match="is not a file key"):
            FileKey.from_json(broken)


def test_a_link_is_followed_where_it_may_be(tmp_path):
    """Elsewhere it is not a regular file."""
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    assert FileKey.of(tmp_path / "link") == FileKey.of(tmp_path / "file")
    with pytest.raises(OSError, match="not a regular file"):
        FileKey.of(tmp_path / "link", follow=False)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (FileKey(9, 2, 3, 4, 5), "9 bytes instead of 1"),
        (FileKey(1, 2, 9, 9, 5), "its name now belongs to another file"),
        (FileKey(1, 9, 9, 4, 5), "its modification time differs"),
        (FileKey(1, 2, 9, 4, 5), "its change time differs"),
    ],
)
def test_what_differs_is_said(other, said):
    """The most telling difference is named."""
    assert said in FileKey(1, 2, 3, 4, 5).difference(other)


def test_any_name_is_kept_as_text(tmp_path):
    """A name need not be Unicode."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd \xff name"))
    assert path_of(text_of(path)) == path
    with pytest.raises(ValueError, match="not the URI of a file"):
        path_of("relative")


def test_whole_second_clocks_get_a_wider_guard():
    """File systems that keep whole seconds are trusted only after two of them."""
    fine, coarse = FileKey(1, 0, 5_000_000_001, 1, 1), FileKey(1, 0, 5_000_000_000, 1, 1)
    assert fine.is_settled_at(5_100_000_000)
    assert not coarse.is_settled_at(5_100_000_000)
    assert coarse.is_settled_at(7_100_000_000)
