"""Header blocks are read by Python's tarfile as they were written."""

import tarfile

import pytest

from mealkit.oci.ustar import BLOCK_BYTES, Fields, block, comment, pax_header, pax_records

LARGEST_ID, LARGEST_SIZE = 8**7 - 1, 8**11 - 1


def fields(**changes):
    given = {"path": b"a", "mode": 0o644, "uid": 0, "gid": 0, "size_bytes": 0, "mtime_seconds": 0}
    return Fields(**(given | {"kind": b"0"} | changes))


def read(data):
    return tarfile.TarInfo.frombuf(data, "utf-8", "strict")


def test_a_block_says_every_field():
    """Its checksum is right, and it is one block long."""
    data = block(fields(path=b"a/b", mode=0o755, uid=7, gid=8, size_bytes=9, mtime_seconds=10))
    found = read(data)
    assert len(data) == BLOCK_BYTES
    assert (found.name, found.mode, found.uid, found.gid, found.size, found.mtime) == (
        *("a/b", 0o755),
        *(7, 8, 9, 10),
    )


@pytest.mark.parametrize(
    ("name", "largest", "keyword"),
    [
        ("uid", LARGEST_ID, b"uid"),
        ("gid", LARGEST_ID, b"gid"),
        ("size_bytes", LARGEST_SIZE, b"size"),
        ("mtime_seconds", LARGEST_SIZE, b"mtime"),
    ],
)
def test_a_number_that_a_block_cannot_say_is_said_in_pax(name, largest, keyword):
    """The largest that fits has no record; the next has one, and the block has 0."""
    assert pax_records(fields(**{name: largest})) == b""
    assert block(fields(**{name: largest})) != block(fields())
    beyond = fields(**{name: largest + 1})
    assert b" %s=%d\n" % (keyword, largest + 1) in pax_records(beyond)
    assert block(beyond) == block(fields())


@pytest.mark.parametrize(
    ("path", "is_split"),
    [
        (b"x" * 100, True),
        (b"x" * 101, False),
        (b"p" * 155 + b"/" + b"n" * 100, True),
        (b"p" * 156 + b"/" + b"n" * 100, False),
        (b"p" * 155 + b"/" + b"n" * 101, False),
        ("ü".encode(), False),
    ],
)
def test_a_path_is_split_where_the_fields_of_a_block_allow_it(path, is_split):
    """Where they do not, pax has it whole."""
    assert (b"path=" in pax_records(fields(path=path))) is not is_split
    if is_split:
        assert read(block(fields(path=path))).name == path.decode()


def test_a_directorys_last_slash_is_not_where_a_path_is_split():
    """Its name would be empty."""
    path = b"d" * 100 + b"/"
    assert b"path=" in pax_records(fields(path=path, kind=b"5"))


def test_a_long_target_is_said_in_pax():
    """A link's target has no second field to be split over."""
    assert pax_records(fields(kind=b"2", target=b"t" * 100)) == b""
    assert b"linkpath=" + b"t" * 101 in pax_records(fields(kind=b"2", target=b"t" * 101))


@pytest.mark.parametrize("length", [80, 88, 89, 90, 91, 98, 984, 985, 986, 987, 988, 989, 990])
def test_a_records_length_counts_its_own_digits(length):
    """Also where counting them adds a digit."""
    records = pax_records(fields(path="ü".encode() + b"x" * length))
    assert len(records) == int(records.split(b" ", 1)[0])


@pytest.mark.parametrize("length", [0, 12, 99, 100, 101, 1000])
def test_a_comment_is_exactly_as_long_as_asked(length):
    """The header of a weight layer is padded with it to a full page."""
    assert len(comment(length)) == length
    assert not length or comment(length).startswith(b"%d comment=" % length)


def test_an_extended_header_ends_at_a_block():
    """So the entry that it is about follows it at once."""
    data = pax_header(b"x" * 513)
    assert len(data) == BLOCK_BYTES * 3
    assert (read(data[:BLOCK_BYTES]).type, read(data[:BLOCK_BYTES]).size) == (b"x", 513)
