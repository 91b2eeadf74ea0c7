"""Blobs in files give any range of their bytes, or say why they cannot."""

import os
import socket
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.identity import FileKey
from mealkit.oci.image import BytesBlob
from mealkit.stores.blobs import FileBlob, FileRange, VirtualBlob, parts_of, small_bytes

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("blobs") / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture(scope="module")
def virtual(source) -> VirtualBlob:
    whole = b"HEAD" + DATA + b"TAIL!"
    return VirtualBlob(
        Digest.of(whole), b"HEAD", source, FileKey.of(source), b"TAIL!", Digest.of(DATA)
    )


def read(chunks) -> bytes:
    return b"".join(bytes(chunk) for chunk in chunks)


@given(st.integers(0, len(DATA) + 20), st.one_of(st.none(), st.integers(0, len(DATA) + 20)))
def test_any_range_is_a_slice(source, virtual, offset, length):
    """Ranges across head, file and tail are what slicing all bytes would give."""
    end = None if length is None else offset + length
    whole = b"HEAD" + DATA + b"TAIL!"
    assert read(virtual.chunks(offset, length)) == whole[offset:end]
    part = FileBlob(source, Digest.of(DATA[100:9000]), 8900, 100)
    assert read(part.chunks(offset, length)) == DATA[100:9000][offset:end]


def test_parts_can_be_sent_by_the_kernel(virtual, source):
    """Bytes and file ranges, in order, are the blob: sent over a socket they are the same."""
    parts = parts_of(virtual)
    assert parts == (b"HEAD", FileRange(source, 0, len(DATA)), b"TAIL!")
    near, far = socket.socketpair()
    received = bytearray()

    def receive() -> None:
        while data := far.recv(65536):
            received.extend(data)

    with near, far:
        reader = threading.Thread(target=receive)
        reader.start()
        for part in parts:
            if isinstance(part, FileRange):
                with part.path.open("rb") as stream:
                    near.sendfile(stream, part.offset, part.length)
            else:
                near.sendall(part)
        near.shutdown(socket.SHUT_WR)
        reader.join()
    assert Digest.of(bytes(received)) == virtual.digest
    assert parts_of(BytesBlob(b"x")) == (b"x",)
    assert parts_of(FileBlob(source, Digest.of(DATA), len(DATA))) == (parts[1],)
    assert parts_of(object()) is None


def test_a_source_that_changes_while_it_is_read_is_noticed(tmp_path):
    """The last chunk is followed by a look at the file: what was read may be mixed."""
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * 2**20))
    blob = VirtualBlob(Digest.of(b"any"), b"", path, FileKey.of(path), b"", Digest.of(b"any"))
    chunks = blob.chunks()
    next(chunks)
    with path.open("r+b") as stream:
        stream.write(b"new")
    with pytest.raises(MealkitError) as caught:
        read(chunks)
    assert caught.value.problems[0].code == "SOURCE_CHANGED"
    assert caught.value.problems[0].where == str(path)


@pytest.mark.parametrize("change", ["shorter", "gone", "folder"])
def test_a_file_that_cannot_give_its_bytes_says_why(tmp_path, change):
    """Missing and damaged are two things."""
    path = tmp_path / "blob"
    path.write_bytes(b"12345")
    blob = FileBlob(path, Digest.of(b"12345"), 5)
    blob.check()
    path.unlink()
    if change == "shorter":
        path.write_bytes(b"123")
    if change == "folder":
        path.mkdir()
    code = {"shorter": "BLOB_DAMAGED", "gone": "BLOB_MISSING", "folder": "DISK_DENIED"}[change]
    with pytest.raises(MealkitError, match=code):
        read(blob.chunks())


def test_small_bytes_are_checked(tmp_path):
    """A manifest is whole and true, or refused; one of gigabytes is not read at all."""
    path = tmp_path / "blob"
    path.write_bytes(b"12345")
    good = FileBlob(path, Digest.of(b"12345"), 5)
    assert small_bytes(good) == b"12345"
    with pytest.raises(MealkitError, match="BLOB_DAMAGED"):
        small_bytes(replace(good, digest=Digest.of(b"54321")))
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        small_bytes(replace(good, size_bytes=2**40))
    large = os.urandom(3 * 2**20)
    path.write_bytes(large)
    assert small_bytes(FileBlob(path, Digest.of(large), len(large))) == large
