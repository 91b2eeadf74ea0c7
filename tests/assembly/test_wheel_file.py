"""Wheels of strangers: what they state is bounded before anything of them is unpacked."""

import io
import os
import resource
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
from fakes.peak import PEAK_KIB
from fakes.wheels import write_wheel

from mealkit.assembly.wheel_file import open_wheel, record_of
from mealkit.assembly.wheel_tree import wheel_tree
from mealkit.errors import MealkitError

INFO = "bad-1.0.dist-info"


def tree(path):
    return wheel_tree([(path.name, path)])


def problem_of(path):
    """Return the problem, whether the directory tells or the bytes do."""
    with pytest.raises(MealkitError) as error:
        [list(member.chunks()) for member in tree(path)]
    (problem,) = error.value.problems
    assert problem.message.isprintable()
    return problem


def written(folder, members, record=f"{INFO}/RECORD,,\n", method=zipfile.ZIP_DEFLATED):
    """Write a wheel of (name, data, attributes)."""
    path = folder / "bad-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", method, allowZip64=True) as archive:
        for name, data, *attributes in [*members, (f"{INFO}/RECORD", record)]:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            for key, value in attributes[0].items() if attributes else ():
                setattr(info, key, value)
            archive.writestr(info, data)
    return path


def packed_by_hand(path, members, overlap=False):
    """Write an archive whose headers say what ``members`` say: (name, stored data, method, size)."""
    out, directory = io.BytesIO(), []
    first = 0
    for name, data, method, size in members:
        offset = first if overlap and directory else out.tell()
        form = (0, 20, 0, method, 0, 33, zlib.crc32(b""), len(data), size, len(name), 0)
        if not (overlap and directory):
            out.write(b"PK\x03\x04" + struct.pack("<5H3L2H", *form[1:]) + name + data)
        central = struct.pack("<6H3L5H2L", 20, *form[1:], 0, 0, 0, 0, offset)
        directory.append(b"PK\x01\x02" + central + name)
    start = out.tell()
    body = b"".join(directory)
    count = min(len(directory), 0xFFFF)
    out.write(body)
    out.write(b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, count, count, len(body), start, 0))
    path.write_bytes(out.getvalue())
    return path


def test_members_that_unpack_to_far_too_much_are_refused_before(tmp_path):
    """200 KB that would be 200 MB: the directory says so, and nothing is unpacked."""
    path = written(tmp_path, [("zeros.bin", bytes(200 << 20))])
    assert path.stat().st_size < 300_000
    with pytest.raises(MealkitError, match="too many for a wheel"):
        tree(path)


def test_a_size_that_is_a_lie_is_refused(tmp_path):
    """A member that has more or fewer bytes than the directory states is damaged."""
    for size in (5, 500_000):
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = deflater.compress(bytes(100_000)) + deflater.flush()
        path = packed_by_hand(
            tmp_path / "bad-1.0-py3-none-any.whl",
            [(f"{INFO}/RECORD".encode(), b"", 0, 0), (b"x", data, 8, size)],
        )
        assert problem_of(path).code == "WHEEL_INVALID"


def test_members_that_share_bytes_are_refused(tmp_path):
    """Each of many could stand for the same gigabytes."""
    members = [(b"%d" % number, b"data", 0, 4) for number in range(50)]
    path = packed_by_hand(tmp_path / "bad-1.0-py3-none-any.whl", members, overlap=True)
    with pytest.raises(MealkitError, match="overlaps"):
        tree(path)


def test_a_member_beyond_the_end_is_refused(tmp_path):
    """A packed size that the file does not have."""
    path = written(tmp_path, [("x", b"data")], method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 24] = struct.pack("<L", 1 << 30)
    path.write_bytes(data)
    assert problem_of(path).code == "WHEEL_INVALID"


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(tmp_path, method):
    """Python unpacks these without a bound, and no wheel uses them."""
    path = written(tmp_path, [("x", bytes(1000))], method=method)
    with pytest.raises(MealkitError, match="neither stored nor deflated"):
        tree(path)


def test_an_unknown_compression_and_encryption_are_refused(tmp_path):
    """With a problem, not with whatever zipfile raises."""
    for flag_at, value in ((8, 1), (10, 99)):
        path = written(tmp_path, [("x", b"data")])
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\x01\x02")
        data[at + flag_at] = value
        path.write_bytes(data)
        assert problem_of(path).code == "WHEEL_INVALID"


def test_one_name_twice_is_refused(tmp_path):
    """Readers do not agree which of the two counts."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = written(tmp_path, [("x.py", b"1"), ("x.py", b"2")])
    with pytest.raises(MealkitError, match="twice"):
        tree(path)


@pytest.mark.parametrize(
    "names", [("x", "x/y"), ("./x", "x"), ("x", "bad-1.0.data/purelib/x"), ("a//b", "a/b")]
)
def test_names_that_meet_are_refused(tmp_path, names):
    """A file below a file, and two members that go to one place with other bytes."""
    path = written(tmp_path, [(name, name.encode()) for name in names])
    assert problem_of(path).code == "WHEEL_INVALID"


@pytest.mark.parametrize(
    "name",
    [".", "a/..", "bad-1.0.data/purelib/../../x", "n" * 300, "a/" * 3000 + "x", "a\nb"],
    ids=["dot", "climb", "scheme", "part", "deep", "line"],
)
def test_names_that_no_folder_takes_are_refused(tmp_path, name):
    """Dots, climbing behind a scheme, and names longer than a disk takes."""
    assert problem_of(written(tmp_path, [(name, b"1")])).code == "WHEEL_INVALID"


@pytest.mark.parametrize("mode", [0o010644, 0o020644, 0o060644, 0o140644])
def test_members_that_are_no_files_are_refused(tmp_path, mode):
    """FIFOs, devices and sockets."""
    path = written(tmp_path, [("x", b"", {"external_attr": mode << 16})])
    with pytest.raises(MealkitError, match="is not a file"):
        tree(path)


def test_a_link_is_the_text_that_it_is(tmp_path):
    """As pip does it: no link is made, and set-uid bits mean nothing."""
    path = written(
        tmp_path,
        [
            ("link", b"/etc/passwd", {"external_attr": 0o120777 << 16}),
            ("su", b"1", {"external_attr": 0o106755 << 16}),
        ],
    )
    found = {member.path: b"".join(member.chunks()) for member in tree(path)}
    assert found["link"] == b"/etc/passwd"


RECORDS = {
    "not UTF-8": b"\xff\xfe,sha256=x,1\n",
    "a field without end": "x" * 200_000 + ",sha256=x,1\n",
    "a quoted field without end": '"' + "x\n" * 100_000,
    "a line without end": "," * 200_000,
    "lines without end": "x,sha256=x,1\n" * 100_000,
    "two digests for one file": "x,sha256=a,1\nx,sha256=b,1\n",
    "a digest that is another": "x,sha256=AAAA,1\n",
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_that_cannot_be_read_is_refused(tmp_path, what):
    """Whatever it is, it is WHEEL_INVALID."""
    assert problem_of(written(tmp_path, [("x", b"1")], RECORDS[what])).code == "WHEEL_INVALID"


def test_a_record_of_gigabytes_or_none_is_refused(tmp_path):
    """Its size is looked at before it is read; two are as bad as none."""
    path = packed_by_hand(
        tmp_path / "bad-1.0-py3-none-any.whl", [(f"{INFO}/RECORD".encode(), b"x", 8, 60 << 20)]
    )
    with pytest.raises(MealkitError, match="its RECORD has 62914560 bytes"):
        tree(path)
    assert problem_of(written(tmp_path, [("other-1.0.dist-info/RECORD", b"")])).code == (
        "WHEEL_INVALID"
    )


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A FIFO, a folder and a device end at once."""
    os.mkfifo(tmp_path / "fifo.whl")
    (tmp_path / "zero.whl").symlink_to("/dev/zero")
    for path in (tmp_path / "fifo.whl", tmp_path / "zero.whl", tmp_path):
        assert problem_of(path).code == "WHEEL_INVALID"


MANY = (
    PEAK_KIB
    + """
import io, struct, sys
from pathlib import Path
from mealkit.assembly.wheel_file import open_wheel, record_of
from mealkit.assembly.wheel_tree import wheel_tree
from mealkit.errors import MealkitError
before = peak_kib()
path = Path(sys.argv[1])
one = b"PK\\x01\\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"x"
with path.open("wb") as file:
    file.write(b"PK\\x03\\x04" + bytes(100))
    for _ in range(100):
        file.write(one * 20_000)
    size = file.tell() - 104
    file.write(b"PK\\x05\\x06" + struct.pack("<4H2LH", 0, 0, 65535, 65535, size, 104, 0))
try:
    wheel_tree([(path.name, path)])
except MealkitError as error:
    print(error.problems[0].code, (peak_kib() - before) >> 10)
"""
)


def test_millions_of_members_are_refused_before_they_are_held(tmp_path):
    """The directory is measured before it is read: two million members would be two gigabytes."""
    done = subprocess.run(
        [sys.executable, "-c", MANY, tmp_path / "many-1.0-py3-none-any.whl"],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (30, 30)),
    )
    code, grown_mib = done.stdout.split()
    assert code == "WHEEL_INVALID"
    assert int(grown_mib) < 50


def test_thousands_of_members_are_taken(tmp_path):
    """Real wheels have up to thirty thousand."""
    wheel = write_wheel(tmp_path, "many", {f"many/m{n}.py": b"" for n in range(5000)})
    assert len(tree(wheel)) == 5003


def test_a_good_wheel_is_opened_with_its_record(tmp_path):
    """Every member but RECORD itself has a digest there."""
    archive = open_wheel(write_wheel(tmp_path, "good", {"good.py": b"1"}))
    names = set(archive.namelist())
    assert set(record_of(archive)) == names - {"good-1.0.dist-info/RECORD"}


@pytest.mark.parametrize("name", ["RECORD", "a/bad.dist-info/RECORD", "bad.egg-info/RECORD"])
def test_only_the_record_of_the_wheel_itself_counts(tmp_path, name):
    """A file of that name elsewhere is a file like any other."""
    rows = f"a.py,sha256=x,\n{INFO}/RECORD,,\n"
    archive = open_wheel(written(tmp_path, [(name, "a.py,sha256=other,")], rows))
    assert record_of(archive) == {"a.py": "x"}


def test_other_hashes_of_a_record_are_passed_over(tmp_path):
    """Old wheels have md5 there, and rows without any."""
    rows = f"a.py,md5=x,1\nb.py\n\nc.py,,\nd.py,sha256=y,1\n{INFO}/RECORD,,\n"
    archive = open_wheel(written(tmp_path, [("a.py", b"")], rows))
    assert record_of(archive) == {"d.py": "y"}
