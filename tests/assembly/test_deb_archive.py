"""A Debian package is taken only as Debian's archive has them, and in bounded memory and disk."""

import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from fakes.debs import ar_of, control_of, deb_of, member, tar_of

from mealkit.assembly.deb_archive import open_deb, require_deb
from mealkit.assembly.debian_root import debian_root, unpacked
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.recipe.locked_base import LockedDeb
from mealkit.untrusted import UntrustedError

MEBIBYTE = 1024 * 1024
NAMED = {"ids": lambda value: value if isinstance(value, str) else f"{zlib.crc32(value):x}"}
FORMAT = ("debian-binary", b"2.0\n")
CONTROL = ("control.tar.xz", lzma.compress(tar_of(member("control", control_of("a")))))
DATA = ("data.tar.xz", lzma.compress(tar_of(member("usr/x", b"x"))))


def locked(data: bytes, name: str = "a", version: str = "1.0", architecture: str = "amd64"):
    return LockedDeb(
        name=name,
        version=version,
        architecture=architecture,
        filename="pool/a.deb",
        sha256=Digest.of(data),
        size_bytes=len(data),
    )


def problem_of(tmp_path: Path, data: bytes):
    """Return what is said when a package is unpacked."""
    path = tmp_path / "a.deb"
    path.write_bytes(data)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(MealkitError) as caught:
        list(unpacked("a", path, scratch))
    assert caught.value.problems[0].code == "BASE_INVALID"
    assert sum(file.stat().st_size for file in scratch.iterdir()) < 96 * MEBIBYTE
    return caught.value.problems[0].message


def sized(size: bytes) -> bytes:
    """Write a package whose data states another size in its ar header."""
    whole = ar_of(FORMAT, CONTROL, DATA)
    place = whole.rindex(b"data.tar.xz") + 48
    return whole[:place] + size.ljust(10) + whole[place + 10 :]


def zipped(data: bytes) -> bytes:
    """Append an archive that zip readers find behind whatever is in front of it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a-1.0.dist-info/RECORD"), "")
    return data + stream.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "start like an ar"),
        (b"PK\x03\x04" + deb_of("a"), "start like an ar"),
        (zipped(deb_of("a")), ""),
        (deb_of("a") + b"\n", "bytes after its data"),
        (ar_of(FORMAT, CONTROL, DATA, ("_gpgorigin", b"x")), "bytes after its data"),
        (ar_of(FORMAT, CONTROL, DATA, DATA), "bytes after its data"),
        (ar_of(FORMAT, DATA, CONTROL), "not consist of debian-binary"),
        (ar_of(CONTROL, DATA), "not consist of debian-binary"),
        (ar_of(FORMAT, CONTROL), "not consist of debian-binary"),
        (ar_of(("debian-binary", b"3.0\n"), CONTROL, DATA), "format is not 2.0"),
        (sized(b"-1"), "damaged header"),
        (sized(b"+60"), "damaged header"),
        (sized(b"1_0"), "damaged header"),
        (sized(b"9999999999"), "truncated"),
        (sized(b"1"), ""),
    ],
    **NAMED,
)
def test_archives_that_are_none_of_debians(tmp_path, data, said):
    """Another order, another part, another size, or a byte too many: it is not a package."""
    assert said in problem_of(tmp_path, data)


def bomb(how: str, size_bytes: int) -> bytes:
    """Pack zeros: xz makes 7000 times less of them, gzip 1000 times."""
    stream = io.BytesIO()
    with {"xz": lzma.open, "gz": gzip.open}[how](stream, "wb") as packed:
        for _ in range(size_bytes // MEBIBYTE):
            packed.write(bytes(MEBIBYTE))
    return stream.getvalue()


@pytest.mark.parametrize("how", ["xz", "gz"])
@pytest.mark.parametrize("part", ["control", "data"])
def test_archives_that_grow_without_end(tmp_path, how, part):
    """A small package that stands for gigabytes is refused after some megabytes."""
    packed = bomb(how, (64 if how == "xz" else 128) * MEBIBYTE)
    parts = {"control": CONTROL, "data": DATA, part: (f"{part}.tar.{how}", packed)}
    data = ar_of(FORMAT, parts["control"], parts["data"])
    assert "decompresses to more than" in problem_of(tmp_path, data)


def test_a_reader_is_not_asked_for_much_memory(tmp_path):
    """A dictionary of a gigabyte is not set up."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1024 * MEBIBYTE}]
    # Its header states the dictionary; compressing does not need it for little data.
    small = lzma.compress(
        tar_of(member("usr/x", b"x")), filters=[{**filters[0], "dict_size": 4096}]
    )
    place = small.index(b"\x21\x01") + 2
    header = small[12 : 12 + (small[12] + 1) * 4]
    stated = bytearray(header[:-4])
    stated[place - 12] = 36
    header = bytes(stated) + zlib.crc32(bytes(stated)).to_bytes(4, "little")
    large = small[:12] + header + small[12 + len(header) :]
    assert "Memory usage limit" in problem_of(
        tmp_path, ar_of(FORMAT, CONTROL, ("data.tar.xz", large))
    )


def pax(**records: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info, content = member("usr/x", b"x")
        info.pax_headers = records
        archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def changed(place: int, new: bytes) -> bytes:
    """Change a member's header, and state the checksum that it has then."""
    data = bytearray(tar_of(member("usr/x", b"x")))
    data[place : place + len(new)] = new
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tar_of(member("usr/x", b"1"), member("usr/x", b"2")), "twice"),
        (tar_of(member("usr/x", b"1"), member("usr/./x/", b"2")), "twice"),
        (tar_of(member("usr/x\x1b[2J", b"1")), "control characters"),
        (tar_of(member("usr/x\n", "y")), "control characters"),
        (tar_of(member("usr/x", "y\r")), "control characters"),
        (tar_of(member("n" * 5000, b"1")), "more than 4095 bytes"),
        (tar_of(member("usr/x", "t" * 5000)), "more than 4095 bytes"),
        (tar_of(member("/".join("d" * 99), b"1")), "outside"),
        (pax(comment="x" * 100), "not a folder, a file or a link"),
        (pax(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), "not a folder"),
        (changed(156, b"S"), "not a folder"),
        (changed(156, b"3"), "not a folder"),
        (changed(156, b"7"), "not a folder"),
        (changed(156, b"5"), "an entry with data that is not a file"),
        (changed(257, b"other\0"), "format"),
        (changed(124, b"77777777777\0"), "ends early"),
        (changed(124, b"\x80" + b"\xff" * 11), "states a size"),
        (changed(124, b"\xff" * 12), "states a size"),
        (changed(124, b"-0000000001\0"), "not a number"),
        (changed(0, b"usr/\xff\xfe"), "not UTF-8"),
        (changed(0, b"\0"), "without a name"),
        (tar_of(member("usr/x", b"x")) + b"more", "continues after"),
        (tar_of(member("usr/x", b"x" * 600))[:1100], "ends early"),
        (b"", "is empty"),
        (
            tar_of(member("usr/x", type=tarfile.LNKTYPE, linkname="../../etc/passwd")),
            "to a missing file",
        ),
        (
            tar_of(member("usr/x", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
            "to a missing file",
        ),
    ],
    **NAMED,
)
def test_files_that_a_package_may_not_have(tmp_path, data, said):
    """What dpkg would not unpack, or what leads a reader astray, is refused."""
    package = ar_of(FORMAT, CONTROL, ("data.tar", data))
    assert said in problem_of(tmp_path, package)


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (b"", "the line ''"),
        (b"Package: a\nPackage: a\n", "twice"),
        (b"Package: a\npackage: b\n", "twice"),
        (b"Package: a\n\nVersion: 1\n", "the line ''"),
        (b"no field", "the line"),
        (b" continues nothing", "the line"),
        (b"Package: \xff", "UTF-8"),
        (b"Package: b\n a\n", "a different one"),
        (b"#" * 300_000, "too large"),
    ],
    **NAMED,
)
def test_control_files_that_are_none(tmp_path, control, said):
    """What a package says of itself is read strictly: it has to be the one that was asked for."""
    packed = lzma.compress(tar_of(member("control", control)))
    data = ar_of(FORMAT, ("control.tar.xz", packed), DATA)
    assert said in problem_of(tmp_path, data)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "b"}, "its package is 'a', expected 'b'"),
        ({"version": "2.0"}, "its version is '1.0', expected '2.0'"),
        ({"architecture": "arm64"}, "its architecture is 'amd64', expected 'arm64'"),
    ],
)
def test_a_lock_that_says_otherwise(tmp_path, asked, said):
    """A package is the one that the lock names, with its version and architecture."""
    data = deb_of("a")
    path = tmp_path / "a.deb"
    path.write_bytes(data)
    require_deb(path, locked(data))
    with pytest.raises(MealkitError) as caught:
        require_deb(path, locked(data, **asked))
    assert (caught.value.problems[0].code, said in caught.value.problems[0].message) == (
        "BASE_INVALID",
        True,
    )


def test_a_wheel_is_no_package(tmp_path):
    """A file that a lock pins as a wheel cannot be pinned as a Debian package, too."""
    data = zipped(b"")
    path = tmp_path / "a.whl"
    path.write_bytes(data)
    with pytest.raises(MealkitError) as caught:
        require_deb(path, locked(data))
    assert "is not a Debian package" in caught.value.problems[0].message


def test_long_names_and_large_numbers_are_read(tmp_path):
    """What GNU tar writes for long names and links is what Debian's packages have."""
    long = "usr/share/" + "/".join(["folder"] * 30) + "/file"
    path = tmp_path / "a.deb"
    path.write_bytes(deb_of("a", member(long, b"x"), member("usr/link", f"/{long}")))
    deb = open_deb(path)
    found = deb.unpack_data(tmp_path / "data.tar")
    assert [item.name for item in found] == [f"./{long}", "./usr/link"]
    assert found[1].target == f"/{long}"


def test_a_package_given_twice(tmp_path):
    """Two packages of one name would be read from one file."""
    path = tmp_path / "a.deb"
    path.write_bytes(deb_of("a"))
    with pytest.raises(MealkitError) as caught:
        debian_root([("a", path), ("a", path)], "3.13", tmp_path)
    assert "given twice" in caught.value.problems[0].message


@pytest.mark.parametrize("name", ["../a", "a/b", "", "A", "a" * 200, "a\n"])
def test_a_package_whose_name_is_a_path(tmp_path, name):
    """A name decides where scratch files go, so that it has to be one."""
    with pytest.raises(MealkitError) as caught:
        list(unpacked(name, tmp_path / "none", tmp_path))
    assert "not the name of a package" in caught.value.problems[0].message


MANY = r"""
import json, re, sys
from pathlib import Path
from mealkit.assembly.debian_root import debian_root
from mealkit.errors import MealkitError
debs, scratch = json.loads(sys.argv[1])
try:
    debian_root([(name, Path(path)) for name, path in debs], "3.13", Path(scratch))
except MealkitError as error:
    said = error.problems[0].message
most = re.search("VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())
print(json.dumps([said, int(most[1]) // 1024]))
"""


def headers(count: int, path: str) -> bytes:
    """Write that many members, quickly: the same header with other numbers."""
    block = bytearray(tar_of(member(path.format("0" * 6), b""))[:512])
    place = block.index(b"000000", 0, 100)
    plain = sum(block) - sum(block[148:154]) - sum(block[place : place + 6])
    parts = []
    for number in range(count):
        digits = f"{number:06d}".encode()
        block[place : place + 6] = digits
        # The field counts as eight blanks; two of its bytes stay.
        total = plain + sum(digits) + 6 * 32 - block[154] - block[155] + 64
        block[148:154] = f"{total:06o}".encode()
        parts.append(bytes(block))
    return b"".join(parts) + bytes(1024)


@pytest.mark.parametrize(
    ("count", "path", "said"),
    [
        (150_001, "usr/{}", "more than 150000 members"),
        (20_000, "{}" + "/d" * 40 + "/x", "more than 200000 files and folders"),
    ],
)
def test_packages_of_very_many_files(tmp_path, count, path, said):
    """So many that they would fill the memory are refused while there is still room."""
    package = tmp_path / "a.deb"
    package.write_bytes(ar_of(FORMAT, CONTROL, ("data.tar", headers(count, path))))
    others = [
        ("base-files", deb_of("base-files", member("etc/os-release", b""))),
        ("python3.13-minimal", deb_of("python3.13-minimal", member("usr/bin/python3.13", b""))),
    ]
    debs = [("a", str(package))]
    for name, data in others:
        (tmp_path / name).write_bytes(data)
        debs.append((name, str(tmp_path / name)))
    (tmp_path / "scratch").mkdir()
    asked = json.dumps([debs, str(tmp_path / "scratch")])
    done = subprocess.run([sys.executable, "-c", MANY, asked], stdout=subprocess.PIPE, check=True)
    message, mebibytes = json.loads(done.stdout)
    assert said in message
    assert mebibytes < 200


def test_errors_of_the_reader_are_of_one_kind(tmp_path):
    """Whatever is wrong with a package is said as one kind of error, which the build wraps."""
    path = tmp_path / "a.deb"
    path.write_bytes(b"!<arch>\n" + b"\0" * 100)
    with pytest.raises(UntrustedError):
        open_deb(path)
