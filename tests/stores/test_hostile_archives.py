"""Archives that somebody else wrote: read in bounded memory, or refused by a code."""

import io
import os
import tarfile

import pytest

from mealkit.errors import MealkitError
from mealkit.stores.archive import read_archive


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, pax in entries:
            item = tarfile.TarInfo(name)
            item.size, item.pax_headers = len(data), pax
            archive.addfile(item, io.BytesIO(data))
    return out.getvalue()


def header(name=b"x", size=b"00000000000", kind=b"0"):
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"x", b"\x1f\x8b" + b"\0" * 600, b"\xff" * 1024, header()[:300], b"\0" * 511),
        header(size=b"77777777777") + b"x",
        header(size=b"77777777777", kind=b"x") + b"1 " * 512,
        header(size=b"00000001000", kind=b"x") + b"9" * 512,
        header(size=b"zzzzzzzzzzz"),
        tar_of(("index.json", b"[" * 100_000, {})),
        tar_of(("index.json", b"{}", {})),
        tar_of(("index.json", b'{"manifests":[]}', {"size": "-1"})),
        tar_of(("index.json", b"x" * 2_000_000, {})),
        tar_of(("blobs/sha256/" + "0" * 64, b"x", {})),
        tar_of(("../index.json", b'{"manifests":[]}', {})),
        header() * 30_000,
    ],
    ids=range(17),
)
def test_what_is_no_archive_is_refused(tmp_path, data):
    """Cut off, of sizes that nothing has, of too many entries: IMAGE_INVALID, or there is no image."""
    file = tmp_path / "image.tar"
    file.write_bytes(data)
    with pytest.raises(MealkitError) as caught:
        read_archive(file)
    assert caught.value.problems[0].code in {"IMAGE_INVALID", "IMAGE_NOT_FOUND"}


def test_a_pipe_is_no_archive(tmp_path):
    """Nobody is waited for who would write into it."""
    os.mkfifo(tmp_path / "image.tar")
    with pytest.raises(MealkitError, match="not a regular file"):
        read_archive(tmp_path / "image.tar")
