"""Small texts that stand for large files are recognised by how they begin."""

import pytest

from mealkit.files.pointers import MAX_POINTER_BYTES, pointer_in

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"


@pytest.mark.parametrize(
    ("data", "fix"),
    [
        (LFS, "git lfs pull"),
        (LFS.replace(b"\n", b"\r\n"), "git lfs pull"),
        (LFS.replace(b"git-lfs", b"hawser"), "git lfs pull"),
        (b"/annex/objects/SHA256E-s1--ab.bin\n", "git annex get"),
        (b"../../.git/annex/objects/ab/cd/SHA256E-s1", "git annex get"),
        (b"", None),
        (b"# " + LFS, None),
        (b"version 1\n", None),
        (b"version https://example.org/spec/v1\n", None),
        (b"see /annex/objects/\n", None),
        (LFS + bytes(MAX_POINTER_BYTES), None),
    ],
)
def test_a_pointer_is_told_with_how_to_get_the_file(data, fix):
    """Of Git LFS under all its names, and of git-annex; a text that mentions one is none."""
    found = pointer_in(data)
    assert (found and found.fix.rpartition(": ")[2]) == fix
