"""Pickles inside other files: compressed, in archives, in archives in those, in arrays."""

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from mealkit.sources.forward_data import Budget, UnseenError
from mealkit.sources.pickle_search import find_pickle
from mealkit.sources.ranges import FileRanges
from mealkit.untrusted import UntrustedError

BAD = pickle.dumps({"w": [print, 1.5]}, 4)
OLD = pickle.dumps({"w": [print, 1.5]}, 0)
GOOD = bytes(range(256)) * 20


class Bytes:
    """Bytes as a file that is read in pieces."""

    def __init__(self, data):
        self.data = data
        self.size_bytes = len(data)

    def read(self, offset, length):
        return self.data[offset : offset + length]


def zipped(method=zipfile.ZIP_DEFLATED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return stream.getvalue()


def tarred(form=tarfile.PAX_FORMAT, **members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def zlibbed(data, window):
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


def headed(descr):
    """Return an array with a type as numpy reads it, and not as numpy writes it."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
    return b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + BAD


OBJECTS = np.array([{"x": 1}, None], dtype=object)
RECORDS = np.zeros(3, dtype=[("a", "<f4"), ("b", [("c", "O"), ("d", "<i2")])])
HOLDS = {
    "itself": (BAD, ""),
    "old": (OLD, ""),
    "gzip": (gzip.compress(OLD), ""),
    "gzip, second stream": (gzip.compress(b"") + gzip.compress(BAD), ""),
    "xz of bzip2": (lzma.compress(bz2.compress(BAD)), ""),
    "lzma": (lzma.compress(BAD, format=lzma.FORMAT_ALONE), ""),
    "zlib": (zlib.compress(BAD, 1), ""),
    "gzip, second stream after zeros": (
        gzip.compress(b"") + b"\0" * 600_000 + gzip.compress(BAD),
        "",
    ),
    "lzma after xz": (lzma.compress(b"") + lzma.compress(BAD, format=lzma.FORMAT_ALONE), ""),
    "lzma with other settings": (
        lzma.compress(
            BAD,
            format=lzma.FORMAT_ALONE,
            filters=[{"id": lzma.FILTER_LZMA1, "lc": 0, "pb": 0, "dict_size": 4096}],
        ),
        "",
    ),
    **{f"zlib with a window of {size}": (zlibbed(OLD, size), "") for size in range(9, 16)},
    "joblib of old": (b"ZF" + hex(len(BAD)).encode().ljust(19) + zlib.compress(BAD), ""),
    "joblib of old, with a space": (b"ZF" + b"0x1".ljust(20) + zlib.compress(BAD), ""),
    "zip": (zipped(a=GOOD, b__dat=BAD), "b.dat"),
    "stored zip": (zipped(zipfile.ZIP_STORED, b__dat=OLD), "b.dat"),
    "by name": (zipped(data__pkl=b"\0\0"), "data.pkl"),
    "zip in zip": (zipped(a__zip=zipped(b=BAD)), "a.zip/b"),
    "tar": (tarred(a=GOOD, b__dat=BAD), "b.dat"),
    "old tar": (tarred(tarfile.GNU_FORMAT, **{"x" * 150: OLD}), "x" * 150),
    "tar.gz": (gzip.compress(tarred(a=GOOD, b=OLD)), "b"),
    "tar.xz in tar.bz2": (bz2.compress(tarred(a=lzma.compress(tarred(b=BAD)))), "a/b"),
    "npz in tar.gz": (gzip.compress(tarred(a__npz=npz(x=np.zeros(3), y=OBJECTS))), "a.npz/y.npy"),
    "objects": (npy(OBJECTS), ""),
    "records of objects": (npy(RECORDS), ""),
    "npz": (npz(x=np.zeros(3), y=OBJECTS), "y.npy"),
    **{
        f"array of the type {descr}": (headed(descr), "")
        for descr in (
            "'object'",
            "'object_'",
            "'1O'",
            "'(1,)O'",
            "'i4,O'",
            "' O'",
            "('<i8', 'O')",
            "[('a', '<i8', 'O')]",
            "('<i8', ('O', 1))",
            "{'names': ['a'], 'formats': ['O']}",
        )
    },
    "npy.xz": (lzma.compress(npy(OBJECTS)), ""),
    "header of an array that cannot be read": (b"\x93NUMPY\x01\0\x10\0{'descr': [[[[[[", ""),
    "array with a long header": (b"\x93NUMPY\x02\0\0\0\0\1" + b" " * 70_000, ""),
}


@pytest.mark.parametrize("kind", HOLDS)
def test_a_pickle_is_found_wherever_it_is(kind):
    """With its place in the file."""
    data, place = HOLDS[kind]
    assert find_pickle(Bytes(data)) == place


def test_a_zip_after_other_bytes_is_opened(tmp_path):
    """As zipfile opens it; bytes that only look like the end of one are none."""
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + GOOD + zipped(a=GOOD, b__dat=BAD))
    assert find_pickle(FileRanges(path)) == "b.dat"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + GOOD + b"PK\x05\x06" + bytes(range(18)) + GOOD)
    assert find_pickle(FileRanges(path)) is None
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + zipped(a=GOOD))
    assert find_pickle(FileRanges(path)) is None


def database():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table words (word text, vector blob)")
    connection.execute("insert into words values ('c', ?)", [GOOD])
    connection.commit()
    return connection.serialize()


INNOCENT = {
    "npz": npz(x=np.zeros(3), y=np.array(["a", "b"]), O=np.zeros(2, dtype=[("O1", "<f4")])),
    "records": npy(np.zeros(2, dtype=[("Object", "<i4", (2,)), ("b", "S3")])),
    "times": npy(np.array(["2020-01-01"], dtype="datetime64[D]")),
    "wheel of texts": zipped(a__py=b"import os\n", METADATA=b"Name: a\n"),
    "csv.gz": gzip.compress(b"Time,Value\n" + b"1,2\n" * 50_000),
    "tar.gz": gzip.compress(tarred(a=GOOD, b=b"text\n", c=b"")),
    "old tar": tarred(tarfile.USTAR_FORMAT, a__txt=b"(c\nb\n"),
    "xz": lzma.compress(GOOD * 99),
    "sqlite": database(),
    "random after a signature": b"\x1f\x8b" + GOOD,
    "zeros": bytes(3_000_000),
    "numbers that begin as lzma does": (b"\x5d\0\0\0\x4b\0\0\0\xf2\xff\xff\xff" + bytes(99)) * 9,
    "numbers that begin as lzma with a large dictionary does": np.arange(-139, 999).tobytes(),
    "texts that begin as zlib does": b"H\x89" + b"x^ and X\x85 begin so" * 999,
    "array of long times": headed("'<M8[ns]'")[: -len(BAD)] + GOOD,
    "xz that is cut": lzma.compress(GOOD * 99)[:60],
    "empty zip": zipped(),
    "folder in a zip": zipped(**{"a/": b""}),
}


@pytest.mark.parametrize("kind", INNOCENT)
def test_innocent_data_has_none(kind):
    """Arrays of numbers, archives of texts, tables, databases."""
    assert find_pickle(Bytes(INNOCENT[kind])) is None


def encrypted():
    data = bytearray(zipped(secret=GOOD))
    data[6] |= 1
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    return bytes(data)


def deep(depth):
    data = GOOD
    for _ in range(depth):
        data = zipped(zipfile.ZIP_STORED, a=data)
    return data


UNSEEN = {
    "encrypted": (encrypted(), "encrypted"),
    "a rare compression": (zipped(zipfile.ZIP_LZMA, a=GOOD), "rare compression"),
    "deep": (deep(6), "deeper than 4"),
    "zstandard": (b"\x28\xb5\x2f\xfd" + GOOD, "Zstandard"),
    "zstandard in tar.gz": (gzip.compress(tarred(a=b"\x28\xb5\x2f\xfd" + GOOD)), "Zstandard"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + GOOD, "7z"),
    "tar with a damaged header": (tarred(a=GOOD)[:512] + tarred(b=GOOD), "cannot be read"),
}


@pytest.mark.parametrize("kind", UNSEEN)
def test_what_cannot_be_looked_into_is_said(kind):
    """It is not taken for innocent."""
    data, said = UNSEEN[kind]
    with pytest.raises(UnseenError, match=said):
        find_pickle(Bytes(data))


def test_bombs_are_left_alone():
    """Many members, much to unpack, and large archives in others, all together for one file."""
    many = zipped(zipfile.ZIP_STORED, **{f"f{number}": b"" for number in range(11)})
    with pytest.raises(UnseenError, match="more files"):
        find_pickle(Bytes(many), Budget(members=10))
    two = gzip.compress(tarred(a=many, b=many), 1)
    with pytest.raises(UnseenError, match="more files"):
        find_pickle(Bytes(two), Budget(members=20))
    bomb = gzip.compress(tarred(a=bytes(600_000), b=bytes(600_000)), 1)
    with pytest.raises(UnseenError, match="more in it than a check unpacks"):
        find_pickle(Bytes(bomb), Budget(unpacked_bytes=1_000_000))
    held = gzip.compress(zipped(zipfile.ZIP_STORED, a=bytes(70_000)), 1)
    with pytest.raises(UnseenError, match="large archive inside"):
        find_pickle(Bytes(held), Budget(held_bytes=70_000))
    large = gzip.compress(tarred(a=b"N0" * 50_000 + BAD, b=GOOD), 1)
    with pytest.raises(UnseenError, match="may be a pickle, a"):
        find_pickle(Bytes(large), Budget(held_bytes=70_000))
    assert find_pickle(Bytes(large)) == "a"
    assert find_pickle(Bytes(bomb), Budget(held_bytes=70_000)) is None


def test_a_zip_that_cannot_be_read_is_damaged():
    """As when it is opened."""
    with pytest.raises(UntrustedError):
        find_pickle(Bytes(zipped(a=GOOD)[:-30]))


def test_an_xz_of_much_memory_is_not_unpacked():
    """Another program would unpack it: it is not taken for innocent."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]
    with pytest.raises(UnseenError, match="memory"):
        find_pickle(Bytes(lzma.compress(BAD, filters=filters)))


def test_a_tar_that_begins_as_a_pickle():
    """A tar may have any name in its first bytes."""
    block = bytearray(tarfile.TarInfo("cbuiltins\nprint\n(S'x'\ntR.").tobuf(tarfile.USTAR_FORMAT))
    assert find_pickle(Bytes(bytes(block) + bytes(1024))) == ""
