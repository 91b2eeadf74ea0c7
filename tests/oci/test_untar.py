"""Tars of strangers are read entry by entry, and what readers understand differently is refused."""

import io
import tarfile

import pytest
from fakes.tars import END, block, entry, pax, record

from mealkit.oci.tar import weight_header
from mealkit.oci.tar_source import FileSource, StreamSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.untrusted import UntrustedError


def stream_of(data, size=999, max_entries=1000):
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    return TarStream(StreamSource(chunks), max_entries=max_entries)


def read(data, **options):
    """Return (path, kind, data) of every entry."""
    stream = stream_of(data, **options)
    return [
        (member.path, member.kind, b"".join(map(bytes, stream.data())))
        for member in stream.members()
    ]


def written_by_python(form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, size in (("a/b", 3), ("long/" * 40 + "x", 1000), ("ü", 0)):
            member = tarfile.TarInfo(name)
            member.size = size
            member.uid = 3_000_000 if form != tarfile.USTAR_FORMAT else 0
            archive.addfile(member, io.BytesIO(b"y" * size))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = (
            tarfile.SYMTYPE,
            "t" * 150 if form != tarfile.USTAR_FORMAT else "t",
        )
        archive.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("size", [1, 512, 10_000])
def test_what_writers_write_is_read(form, size):
    """ustar, GNU and pax, long names and large numbers, however the stream is cut."""
    found = read(written_by_python(form), size=size)
    assert [(path, kind, len(data)) for path, kind, data in found] == [
        (b"a/b", Kind.FILE, 3),
        (b"long/" * 40 + b"x", Kind.FILE, 1000),
        ("ü".encode(), Kind.FILE, 0),
        (b"link", Kind.SYMLINK, 0),
    ]


def test_unread_data_is_passed_over():
    """Whoever wants one entry does not have to read the others."""
    data = entry(b"a", b"1" * 700) + entry(b"b", b"2") + END
    assert [member.path for member in stream_of(data).members()] == [b"a", b"b"]


def test_own_weight_layers_are_read():
    """The padded header of a weight layer is an extended header like any other."""
    data = weight_header("models/x.bin", 5) + b"12345" + bytes(507) + END
    assert read(data)[-1] == (b"models/x.bin", Kind.FILE, b"12345")


def test_pax_sizes_count():
    """The size that pax states is the size, so that what follows is not taken for a header."""
    data = pax(("size", b"1024")) + block(b"a", 0) + entry(b"hidden", b"")[:512] * 2
    assert [path for path, _, _ in read(data + entry(b"b") + END)] == [b"a", b"b"]


LIES = {
    "a header that is none": b"x" * 512,
    "an empty stream": b"",
    "gzip": b"\x1f\x8b" + bytes(600),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(600),
    "xz": b"\xfd7zXZ\x00" + bytes(600),
    "half a header": block(b"a")[:300],
    "half a file": entry(b"a", b"1" * 1000)[:700],
    "an end in the middle": entry(b"a") + bytes(512) + entry(b"b") + END,
    "sparse, old GNU": entry(b"a", b"", b"S"),
    "sparse, pax 0.0": pax(("GNU.sparse.size", b"99")) + entry(b"a"),
    "sparse, pax 0.1": pax(("GNU.sparse.map", b"0,1")) + entry(b"a"),
    "sparse, pax 1.0": pax(("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"9")) + entry(b"a"),
    "sparse for all": pax(("GNU.sparse.major", b"1"), kind=b"g") + entry(b"a"),
    "a path for all": pax(("path", b"x"), kind=b"g") + entry(b"a"),
    "a size for all": pax(("size", b"0"), kind=b"g") + entry(b"a"),
    "a target for all": pax(("linkpath", b"x"), kind=b"g") + entry(b"a"),
    "two pax headers": pax(("path", b"x")) + pax(("path", b"y")) + entry(b"a"),
    "two long names": entry(b"l", b"x\0", b"L") + entry(b"l", b"y\0", b"L") + entry(b"a"),
    "two kinds of names": entry(b"l", b"x\0", b"L") + pax(("path", b"y")) + entry(b"a"),
    "a zero byte": pax(("path", b"a\0b")) + entry(b"a"),
    "a zero byte in a target": pax(("linkpath", b"a\0b")) + entry(b"a", b"", b"2"),
    "a negative size": block(b"a", b"\xff" * 12),
    "a huge size": block(b"a", b"\x80" + b"\xff" * 11),
    "a negative pax size": pax(("size", b"-1")) + entry(b"a"),
    "a pax size with digits without end": pax(("size", b"9" * 5000)) + entry(b"a"),
    "a pax size that is no number": pax(("size", b"1e3")) + entry(b"a"),
    "a pax time that is no number": pax(("mtime", b"inf")) + entry(b"a"),
    "an owner beyond the kernel's": pax(("uid", b"4294967296")) + entry(b"a"),
    "a path beyond the kernel's": pax(("path", b"a/" * 3000)) + entry(b"a"),
    "letters for a size": block(b"a", b"hello\0\0\0\0\0\0\0"),
    "a pax record without an end": entry(b"p", b"99 path=x\n", b"x") + entry(b"a"),
    "a pax record without a length": entry(b"p", b"path=x\n", b"x") + entry(b"a"),
    "a pax record of length 0": entry(b"p", b"0 path=x\n", b"x") + entry(b"a"),
    "a pax record of many digits": entry(b"p", b"9" * 6000 + b" path=x\n", b"x") + entry(b"a"),
    "a pax header of gigabytes": block(b"p", b"77777777777\0", b"x"),
    "a long name of gigabytes": block(b"l", b"77777777777\0", b"L"),
    "a long target of gigabytes": block(b"l", b"77777777777\0", b"K"),
    "a global header of gigabytes": block(b"p", b"77777777777\0", b"g"),
    "a negative extended header": block(b"p", b"\xff" * 12, b"x"),
    "long names without end": entry(b"l", b"x" * 600_000, b"L") + entry(b"l", b"x" * 600_000, b"K"),
    "an end after an extended header": pax(("path", b"x")) + END,
    "headers for all without end": pax(("comment", b"x"), kind=b"g") * 1100,
}


@pytest.mark.parametrize("what", LIES)
def test_what_readers_do_not_share_is_refused(what):
    """Damaged, contradictory and boundless tars end in a sentence, never in another error."""
    with pytest.raises(UntrustedError) as error:
        read(LIES[what])
    assert "\n" not in str(error.value)


def test_comments_for_all_are_passed_over():
    """git archive writes one."""
    data = pax(("comment", b"0" * 40), kind=b"g") + entry(b"a") + END
    assert [path for path, _, _ in read(data)] == [b"a"]


def test_an_empty_value_takes_a_record_back():
    """As pax says: the header's own field counts again."""
    data = entry(b"p", record("path", b"x") + record("path", b""), b"x") + entry(b"a") + END
    assert [path for path, _, _ in read(data)] == [b"a"]


def test_times_are_kept_within_what_a_disk_takes():
    """A time before 1970 or after the year 9999 is no reason to fail, and no number to overflow."""
    data = pax(("mtime", b"-5.5")) + entry(b"a") + pax(("mtime", b"9" * 20)) + entry(b"b") + END
    times = [member.mtime_seconds for member in stream_of(data).members()]
    assert times == [0, 253_402_300_799]


def test_entries_are_counted():
    """More entries than the caller allows are refused, empty ones too."""
    assert len(read(entry(b"a") * 10 + END, max_entries=10)) == 10
    with pytest.raises(UntrustedError, match="more than 10 entries"):
        read(entry(b"a") * 11 + END, max_entries=10)


def plain(data):
    """Return the paths in a plain tar, read from a file, and where the data of each begins."""
    source = FileSource(io.BytesIO(data))
    stream = TarStream(source, max_entries=10, is_plain=True)
    return [(member.path, source.position) for member in stream.members()]


def test_a_plain_tar_is_read_from_a_file():
    """Data is passed over, not read; zeros may follow the end."""
    data = written_by_python(tarfile.GNU_FORMAT)
    found = plain(data + bytes(100))
    assert [path for path, _ in found] == [b"a/b", b"long/" * 40 + b"x", "ü".encode(), b"link"]
    assert [data[place : place + 1] for _, place in found[:2]] == [b"y", b"y"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (written_by_python(tarfile.PAX_FORMAT), "not a folder, a file or a link"),
        (entry(b"a", b"1"), "ends early"),
        (entry(b"a", b"1") + END + b"more", "continues"),
        (entry(b"a", b"1") + END + bytes(2_000_000) + b"more", "continues"),
        (b"", "empty"),
    ],
    ids=["pax", "no-end", "more", "much-more", "empty"],
)
def test_what_is_more_than_a_plain_tar_is_refused(data, said):
    """dpkg would not read it either."""
    with pytest.raises(UntrustedError, match=said):
        plain(data)
