"""A blob gets its name in a folder only when all its bytes are there and right."""

import os
from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.identity import FileKey
from mealkit.oci.image import BytesBlob
from mealkit.stores.blob_folder import BlobFolder
from mealkit.stores.blobs import FileBlob, VirtualBlob

BLOB = BytesBlob(b"bytes")


@pytest.fixture
def folder(tmp_path):
    """A folder that is not yet on disk."""
    return BlobFolder(tmp_path / "blobs-here")


def place(folder, digest=BLOB.digest):
    return folder.folder / digest.hex


def names(folder):
    return sorted(path.name for path in folder.root.rglob("*") if path.is_file())


def test_a_blob_is_written_under_its_digest(folder):
    """Progress is told of each byte once."""
    told = []
    assert folder.find(BLOB.digest) is None
    assert folder.digests() == []
    written = folder.write(BLOB, told.append)
    assert b"".join(map(bytes, written.chunks())) == b"bytes"
    assert folder.holds(BLOB)
    assert folder.digests() == [BLOB.digest]
    assert sum(told) == 5
    assert folder.partials() == []


def test_bytes_without_a_known_digest_get_it_at_the_end(folder):
    """They come in chunks, as from a compressor."""
    written = folder.add([b"by", memoryview(b"tes")], lambda _: None)
    assert written.digest == BLOB.digest
    assert folder.holds(BLOB)


def test_other_bytes_than_the_digests_leave_nothing(folder, tmp_path):
    """Neither a blob nor a temporary file."""
    (tmp_path / "lie").write_bytes(b"other")
    lie = FileBlob(tmp_path / "lie", BLOB.digest, 5)
    with pytest.raises(MealkitError, match="BLOB_DAMAGED"):
        folder.write(lie, lambda _: None)
    assert names(folder) == []


def test_a_short_blob_does_not_count_as_there(folder):
    """A crash of the machine may leave one."""
    folder.write(BLOB, lambda _: None)
    os.truncate(place(folder), 3)
    assert not folder.holds(BLOB)
    found = folder.find(BLOB.digest)
    assert found is not None
    assert found.size_bytes == 3


def test_what_is_no_regular_file_is_not_there(folder):
    """A FIFO would be waited for, and a folder has no bytes."""
    folder.folder.mkdir(parents=True)
    os.mkfifo(place(folder))
    assert folder.find(BLOB.digest) is None
    place(folder).unlink()
    place(folder).mkdir()
    assert folder.find(BLOB.digest) is None


def test_what_else_lies_in_the_folder_is_no_blob(folder):
    """Only names of 64 hex digits are."""
    folder.write(BLOB, lambda _: None)
    for name in ("notes", "F" * 64, "0" * 63, f"{'0' * 64}.json"):
        (folder.folder / name).write_text("")
    assert folder.digests() == [BLOB.digest]


def test_a_removed_blob_is_gone_and_counted(folder):
    """The bytes freed are those of its file."""
    folder.write(BLOB, lambda _: None)
    assert folder.remove(BLOB.digest) == 5
    assert folder.find(BLOB.digest) is None


@pytest.mark.parametrize("size", [0, 1, 3 * 1024 * 1024 + 7])
def test_a_virtual_blob_is_copied_whole(folder, tmp_path, size):
    """Head, file and tail, in this order, whatever the file's size is."""
    data = os.urandom(size)
    source = tmp_path / "source"
    source.write_bytes(data)
    whole = b"HEAD" + data + b"TAIL"
    key = FileKey.of(source)
    blob = VirtualBlob(Digest.of(whole), b"HEAD", source, key, b"TAIL", Digest.of(data))
    told = []
    copied = folder.copy(blob, told.append)
    assert Path(copied.path).read_bytes() == whole
    assert sum(told) == len(whole)


@pytest.mark.parametrize(("change", "code"), [("other", "SOURCE_CHANGED"), ("gone", "BLOB_")])
def test_a_virtual_blob_whose_source_changed_is_not_copied(folder, tmp_path, change, code):
    """It is not hashed again, so its file must be the one that was."""
    source = tmp_path / "source"
    source.write_bytes(b"data")
    blob = VirtualBlob(Digest.of(b"data"), b"", source, FileKey.of(source), b"", Digest.of(b"data"))
    if change == "gone":
        source.unlink()
    else:
        source.write_bytes(b"other data")
    with pytest.raises(MealkitError, match=code):
        folder.copy(blob, lambda _: None)
    assert not folder.root.exists() or names(folder) == []
