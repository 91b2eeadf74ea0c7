"""A tar is read in pieces, however its bytes are cut."""

import io

import pytest

from mealkit.oci.tar_source import FileSource, StreamSource

DATA = bytes(range(10))


def stream(size):
    """The bytes in chunks of a size, with an empty chunk between any two."""
    chunks = (DATA[start : start + size] for start in range(0, len(DATA), size))
    return StreamSource(iter([part for chunk in chunks for part in (b"", chunk)]))


SOURCES = [lambda size=size: stream(size) for size in (1, 3, 10)]
SOURCES.append(lambda: FileSource(io.BytesIO(DATA)))


@pytest.mark.parametrize("source", SOURCES, ids=["1", "3", "10", "file"])
def test_bytes_are_taken_and_passed_over_in_their_order(source):
    """Neither an empty chunk nor the end of a chunk ends anything."""
    found = source()
    assert found.take(0) == b""
    assert found.take(4) == DATA[:4]
    found.skip(2)
    assert b"".join(found.pieces(3)) == DATA[6:9]
    assert found.take(5) == DATA[9:]
    assert found.take(5) == b""


@pytest.mark.parametrize("source", SOURCES, ids=["1", "3", "10", "file"])
def test_an_end_within_what_is_passed_over_is_seen_by_the_next_take(source):
    """Passing over more than there is leaves nothing to take."""
    found = source()
    found.skip(11)
    assert found.take(1) == b""


def test_a_drained_stream_is_read_to_its_end():
    """Its digest is that of all bytes only if all were read."""
    left = iter([b"a", b"b", b"c"])
    found = StreamSource(left)
    found.take(1)
    found.drain()
    assert next(left, None) is None
    assert found.take(1) == b""


def test_a_file_knows_where_it_is():
    """The place of a member's data is told from it."""
    found = FileSource(io.BytesIO(DATA))
    found.take(2)
    found.skip(3)
    assert found.position == 5


def test_a_large_file_comes_in_pieces_of_bounded_size():
    """A file of weights is never held whole."""
    found = FileSource(io.BytesIO(bytes((1 << 20) + 1)))
    assert [len(piece) for piece in found.pieces(1 << 30)] == [1 << 20, 1]
