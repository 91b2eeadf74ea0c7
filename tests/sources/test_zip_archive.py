"""Archives of others are opened with bounds, and every way to be damaged is one error."""

import io
import zipfile

import pytest

from mealkit.sources.ranges import FileRanges
from mealkit.sources.zip_archive import open_archive, reading_archive, require_directory
from mealkit.untrusted import UntrustedError


def zipped(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"content of " + name.encode())
    return out.getvalue()


@pytest.fixture
def write(tmp_path):
    """Write an archive; return its path."""

    def make(data):
        path = tmp_path / "archive"
        path.write_bytes(data)
        return path

    return make


def test_members_are_read(write):
    """Stored or deflated, behind other bytes too."""
    path = write(b"in front" + zipped("a", "b/c"))
    require_directory(path)
    with open_archive(FileRanges(path)) as archive:
        assert archive.namelist() == ["a", "b/c"]
        assert archive.read("b/c") == b"content of b/c"


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"not an archive", zipped("a")[:-5], zipped("a")[:20]],
    ids=len,
)
def test_what_is_no_archive_is_refused(write, data):
    """Empty, cut off, something else."""
    path = write(data)
    with pytest.raises(UntrustedError):
        require_directory(path)


def test_a_directory_that_is_too_large_is_refused_before_it_is_read(write):
    """Its size is stated at the end of the file."""
    names = [f"{number:0200}" for number in range(18_000)]
    with pytest.raises(UntrustedError):
        require_directory(write(zipped(*names)))


def test_a_missing_file_is_no_damage(tmp_path):
    """The caller looks for it elsewhere."""
    with pytest.raises(FileNotFoundError):
        require_directory(tmp_path / "none")


@pytest.mark.parametrize(
    "error", [zipfile.BadZipFile("x"), KeyError("x"), EOFError("x"), NotImplementedError("x")]
)
def test_what_a_reader_raises_in_the_middle_is_one_error(error):
    """A member's bytes are only seen when they are read."""
    with pytest.raises(UntrustedError), reading_archive():
        raise error


def test_a_damaged_member_is_refused_while_it_is_read(write):
    """Its checksum is at the end."""
    data = bytearray(zipped("a"))
    data[32] ^= 0xFF
    path = write(bytes(data))
    with pytest.raises(UntrustedError), open_archive(FileRanges(path)) as archive:
        archive.read("a")
