"""Files in a plain layer are found by its headers, and read without the rest of it."""

import io
import tarfile

import pytest

from mealkit.digest import Digest
from mealkit.oci.image import BytesBlob
from mealkit.oci.layer_files import FileInLayer, places_in
from mealkit.untrusted import UntrustedError


class Counting(BytesBlob):
    """A blob that counts the bytes that were read of it."""

    def chunks(self, offset=0, length=None):
        for chunk in super().chunks(offset, length):
            READ.append(len(chunk))
            yield chunk


READ: list[int] = []


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = tarfile.TarInfo("models")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_large_file_is_passed_over():
    """Its place is found by the headers; only its own range is read then."""
    large, small = bytes(5_000_000), b"small"
    layer = Counting(tar_of({"models/large": large, "models/small": small}))
    READ.clear()
    places = {path: (offset, size) for path, offset, size in places_in(layer)}
    assert sum(READ) < 300_000
    assert list(places) == [b"models/large", b"models/small"]
    offset, size = places[b"models/small"]
    file = FileInLayer(Digest.of(small), size, layer, offset)
    assert b"".join(file.chunks()) == small
    assert b"".join(file.chunks(1, 3)) == b"mal"
    assert b"".join(file.chunks(3, 100)) == b"ll"
    assert b"".join(file.chunks(5)) == b""


def test_bytes_that_are_no_tar_are_refused():
    """As when any layer is read."""
    with pytest.raises(UntrustedError):
        list(places_in(BytesBlob(b"x" * 2000)))
