"""A compressed layer is unpacked in bounded pieces, and refused where it ends early or lies."""

import gzip
import subprocess
import sys

import pytest
from fakes.tars import packed_zeros

from mealkit.oci.compression import can_unpack, max_unpacked_bytes, unpacked
from mealkit.oci.descriptor import DOCKER_LAYER, DOCKER_LAYER_GZIP, LAYER, LAYER_GZIP, LAYER_ZSTD
from mealkit.untrusted import UntrustedError

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def test_what_a_layer_unpacks_to_is_bounded():
    """The bound is met piece by piece: what is beyond it is never held or handed on."""
    data = packed_zeros(20 << 20)
    assert sum(map(len, unpacked(LAYER_GZIP, [data], 20 << 20))) == 20 << 20
    seen = []
    with pytest.raises(UntrustedError, match="decompresses to more than 5000000 bytes"):
        seen.extend(map(len, unpacked(LAYER_GZIP, [data], 5_000_000)))
    assert sum(seen) <= 5_000_000
    assert max(seen) <= 1 << 20


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_cut_or_foreign_stream_is_refused(cut):
    """A stream that ends early, or that is of another format, is none."""
    data = packed_zeros(1000, b"x")
    with pytest.raises(UntrustedError):
        list(unpacked(LAYER_GZIP, [data[:-cut]], 10_000))
    with pytest.raises(UntrustedError):
        list(unpacked(LAYER_GZIP, [b"BZh91AY"], 10_000))
    with pytest.raises(UntrustedError):
        list(unpacked(LAYER_GZIP, [], 10_000))


@pytest.mark.parametrize("size", [1 << 20, 3 << 20, (3 << 20) + 5])
def test_members_that_end_within_a_chunk_are_read_whole(size):
    """What follows a member belongs to the next one, wherever the pieces of both end."""
    data = gzip.compress(bytes(size)) + gzip.compress(b"x" * size)
    for step in (1 << 20, 777):
        chunks = [data[start : start + step] for start in range(0, len(data), step)]
        assert b"".join(unpacked(LAYER_GZIP, chunks, 99 << 20)) == bytes(size) + b"x" * size


MANY = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
import gzip
from mealkit.oci.compression import unpacked
from mealkit.oci.descriptor import LAYER_GZIP
empty = gzip.compress(b"")
chunk = empty * ((8 << 20) // len(empty))
assert b"".join(unpacked(LAYER_GZIP, [chunk], 10)) == b""
"""


def test_many_tiny_members_are_linear_work():
    """What is left of a chunk is not copied for each of its members: 1.6 TB for these."""
    subprocess.run([sys.executable, "-c", MANY], check=True)


def test_a_plain_layer_is_handed_on_as_it_is():
    """Weights of gigabytes are not copied on the way."""
    chunk = memoryview(b"weights")
    assert next(unpacked(LAYER, [chunk], 7)) is chunk


def test_a_plain_layer_unpacks_to_itself():
    """A packed one may be a hundred times as large, and always as large as a small program."""
    assert max_unpacked_bytes(DOCKER_LAYER, 5) == 5
    assert max_unpacked_bytes(LAYER_GZIP, 5) == 256 * 1024 * 1024 + 500


def test_only_known_types_are_unpacked():
    """Another type is refused by name, not read as if it were a tar."""
    assert all(map(can_unpack, (LAYER, DOCKER_LAYER, LAYER_GZIP, DOCKER_LAYER_GZIP)))
    assert not can_unpack(FOREIGN)
    with pytest.raises(UntrustedError, match=r"foreign.*is not supported here"):
        unpacked(FOREIGN, [b""], 1)


if can_unpack(LAYER_ZSTD):

    def test_zstd_is_bounded_as_gzip_is():
        """Frames that follow each other are one stream; a cut one, and one too large, are refused."""
        from compression.zstd import compress  # noqa: PLC0415

        frames = compress(b"a" * 1000) + compress(b"b" * 1000)
        for size in (1, 7, 5000):
            chunks = [frames[start : start + size] for start in range(0, len(frames), size)]
            found = b"".join(map(bytes, unpacked(LAYER_ZSTD, chunks, 2000)))
            assert found == b"a" * 1000 + b"b" * 1000
            with pytest.raises(UntrustedError, match="decompresses to more than 1999 bytes"):
                list(unpacked(LAYER_ZSTD, chunks, 1999))
        for data in (b"", frames[:-1], b"BZh91AY"):
            with pytest.raises(UntrustedError):
                list(unpacked(LAYER_ZSTD, [data], 2000))

else:

    def test_zstd_is_refused_where_python_lacks_it():
        """Its type is named."""
        with pytest.raises(UntrustedError, match="zstd"):
            unpacked(LAYER_ZSTD, [b""], 1)
