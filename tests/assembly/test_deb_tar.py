"""The tar inside a Debian package is read as dpkg reads it, or refused."""

import io
import tarfile

import pytest
from fakes.tars import END, entry

from mealkit.assembly.deb_tar import members
from mealkit.oci.untar import Kind
from mealkit.untrusted import UntrustedError


def found_in(data):
    return list(members(io.BytesIO(data)))


def test_every_member_is_yielded_with_where_its_bytes_begin():
    """Files, folders and links, with long names as GNU tar writes them."""
    out = io.BytesIO()
    long = "usr/" + "x" * 150
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in (("./a", b"first"), (long, b"second")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o640
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        archive.addfile(link)
    data = out.getvalue()
    first, second, third = found_in(data)
    assert (first.name, first.kind, first.mode, first.size_bytes) == ("./a", Kind.FILE, 0o640, 5)
    assert data[first.offset : first.offset + 5] == b"first"
    assert second.name == long
    assert data[second.offset : second.offset + second.size_bytes] == b"second"
    assert (third.kind, third.target) == (Kind.SYMLINK, "a")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((b"",), "without a name"),
        ((b"a", b"a"), "it has 'a' twice"),
        ((b"a/b", b"./a//b"), "twice"),
        ((b"a/", b"a"), "twice"),
        ((b"\xff",), "not UTF-8"),
        ((b"a\nb",), "control characters"),
        ((b"a\x7f",), "control characters"),
    ],
)
def test_names_that_no_package_has_are_refused(names, said):
    """One path twice, whichever way it is written, depends on the reader."""
    with pytest.raises(UntrustedError, match=said):
        found_in(b"".join(entry(name) for name in names) + END)


def test_a_target_has_the_same_rules_as_a_name():
    """It becomes a path, too."""
    with pytest.raises(UntrustedError, match="control characters"):
        found_in(entry(b"a", kind=b"2", target=b"b\nc") + END)


@pytest.mark.parametrize(
    "data",
    [b"", entry(b"a"), entry(b"a", kind=b"3") + END],
    ids=["empty", "without an end", "a device"],
)
def test_what_is_no_plain_tar_is_refused(data):
    """Empty, without an end, with a device."""
    with pytest.raises(UntrustedError):
        found_in(data)
