"""Tar streams are deterministic, and every reader agrees on what is in them."""

import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.errors import MealkitError
from mealkit.oci.tar import (
    END,
    Entry,
    TarDirectory,
    TarFile,
    TarHardlink,
    TarSymlink,
    header,
    weight_footer,
    weight_header,
    write_tar,
)
from mealkit.oci.ustar import padding

GIB = 1024**3

NAME = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=120
).filter(lambda name: name not in {".", ".."})
PATH = st.lists(NAME, min_size=1, max_size=5).map("/".join)
OWNER = st.integers(0, 2**32 - 1)


def written(entries: list[Entry], epoch_seconds: int = 0) -> bytes:
    out = io.BytesIO()
    assert write_tar(entries, out, epoch_seconds) == len(out.getvalue())
    return out.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive.getmembers()}


def refusal(entries: list[Entry]) -> str:
    with pytest.raises(MealkitError) as caught:
        written(entries)
    assert caught.value.problems[0].code == "LAYER_INVALID"
    return caught.value.problems[0].message


def gnu_tar(data: bytes, *arguments: str) -> str:
    done = subprocess.run(
        ["tar", *arguments], input=data, check=True, capture_output=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stderr == b""
    return done.stdout.decode()


def test_entries_are_sorted_with_parents_and_fixed_metadata():
    """Order, times, names of owners and missing parents never depend on where the tar is made."""
    data = written(
        [
            TarFile.of("b/c.txt", b"hello", mode=0o100644),
            TarFile.of("a.txt", b""),
            TarSymlink("b/link", "/etc/passwd"),
            TarDirectory("a", mode=0o41777, uid=65532, gid=65532),
        ],
        epoch_seconds=1_700_000_000,
    )
    found = members(data)
    assert list(found) == ["a", "a.txt", "b", "b/c.txt", "b/link"]
    assert {member.mtime for member in found.values()} == {1_700_000_000}
    assert {(member.uname, member.gname) for member in found.values()} == {("", "")}
    assert (found["a"].mode, found["a"].uid, found["a"].gid) == (0o1777, 65532, 65532)
    assert (found["b"].mode, found["b"].uid) == (0o755, 0)
    assert found["b/c.txt"].mode == 0o644
    assert found["b/link"].linkname == "/etc/passwd"
    assert data.endswith(END)
    assert b"PaxHeader" not in data


def test_hardlinks_come_after_their_targets():
    """A reader that unpacks in order finds the target, although the link sorts before it."""
    found = members(written([TarHardlink("a", "b"), TarFile.of("b", b"x"), TarFile.of("c", b"")]))
    assert list(found) == ["b", "c", "a"]
    assert found["a"].islnk()
    assert found["a"].linkname == "b"


@given(st.dictionaries(NAME, st.binary(max_size=700), min_size=1, max_size=8), st.randoms())
def test_order_does_not_matter(contents, random):
    """Any order of the same entries gives the same bytes."""
    entries = [TarFile.of(f"d/{name}", data) for name, data in contents.items()]
    shuffled = [*entries, TarDirectory("d")]
    random.shuffle(shuffled)
    assert written(entries) == written(shuffled)


@given(
    PATH, st.binary(max_size=1200), st.integers(0, 0o177777), OWNER, OWNER, st.integers(0, 2**40)
)
def test_a_file_survives_the_round_trip(path, data, mode, uid, gid, epoch_seconds):
    """Every path, mode, owner, time and content is read back as it was given."""
    raw = written([TarFile.of(path, data, mode, uid, gid)], epoch_seconds)
    assert len(raw) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        member = archive.getmember(path)
        assert archive.extractfile(member).read() == data
        assert (member.mode, member.uid, member.gid) == (mode & 0o7777, uid, gid)
        assert member.mtime == epoch_seconds
        parts = path.split("/")
        assert all(archive.getmember("/".join(parts[:n])).isdir() for n in range(1, len(parts)))


@given(PATH, NAME)
def test_a_link_survives_the_round_trip(path, target):
    """Every target is read back as it was given."""
    assert members(written([TarSymlink(path, target * 3)]))[path].linkname == target * 3


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 255, 256, 257, 300, 4000])
@pytest.mark.parametrize("kind", [TarDirectory, lambda path: TarFile.of(path, b"data")])
def test_long_paths_around_the_limits_of_the_format(length, kind):
    """Paths are kept whole where ustar's fields end, with and without a slash to split at."""
    for path in ("x" * length, ("y" * 49 + "/") * (length // 50) + "z" * (length % 50 or 1)):
        if max(map(len, path.split("/"))) <= 255:
            assert path.rstrip("/") in members(written([kind(path.rstrip("/"))]))
            assert path.rstrip("/") in gnu_tar(written([kind(path.rstrip("/"))]), "-t")


@pytest.mark.parametrize("size_bytes", [0, 1, 8 * GIB - 1, 8 * GIB, 8 * GIB + 1, 70_000 * GIB])
def test_sizes_beyond_the_ustar_field(size_bytes):
    """From 8 GiB on the size is in a pax header; below it there is none."""
    raw = header(TarFile("weights.bin", size_bytes, tuple))
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        assert archive.next().size == size_bytes
    assert (len(raw) > 512) == (size_bytes >= 8 * GIB)


@given(PATH, st.one_of(st.integers(0, 10**6), st.integers(8 * GIB, 10**15)))
def test_weight_data_starts_at_a_multiple_of_4096(path, size_bytes):
    """The head of a weight layer is 4096 bytes, or a multiple for the longest of paths."""
    head = weight_header(path, size_bytes)
    assert len(head) % 4096 == 0
    if len(path) < 100 and path.count("/") < 6 and path.isascii():
        assert len(head) == 4096
    with tarfile.open(fileobj=io.BytesIO(head)) as archive:
        while not (member := archive.next()).isfile():
            assert member.isdir()
        assert (member.name, member.size, member.offset_data) == (path, size_bytes, len(head))


@pytest.mark.parametrize("depth", range(16))
def test_a_weight_layer_is_read_by_gnu_tar(tmp_path, depth):
    """However deep the file lies, GNU tar unpacks it without a word."""
    data = bytes(range(256)) * 5
    path = "d/" * depth + "weights.safetensors"
    layer = weight_header(path, len(data), 0o444) + data + weight_footer(len(data))
    gnu_tar(layer, "-x", "-C", str(tmp_path))
    assert (tmp_path / path).read_bytes() == data
    assert (tmp_path / path).stat().st_mode & 0o7777 == 0o444
    assert len(layer) % 512 == 0


def test_a_tree_is_read_by_gnu_tar(tmp_path):
    """GNU tar unpacks long, Unicode and linked entries as they were given."""
    long = "/".join(["päth" * 20] * 4)
    entries = [
        TarFile.of(f"{long}/file ☃", b"snow", 0o640),
        TarSymlink("link", f"{long}/file ☃"),
        TarFile.of("bin/tool", b"#!", 0o4755),
        TarHardlink("bin/alias", "bin/tool"),
        TarDirectory("empty", 0o700),
    ]
    gnu_tar(written(entries), "-x", "-p", "-C", str(tmp_path))
    assert (tmp_path / "link").read_bytes() == b"snow"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o7777 == 0o4755
    assert (tmp_path / "bin/alias").samefile(tmp_path / "bin/tool")
    assert (tmp_path / "empty").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize(
    "path", ["", "/abs", "a//b", "a/", ".", "./a", "a/../b", "..", "a\0b", "\udcff"]
)
def test_paths_that_lead_outside_are_refused(path):
    """A path that is not plain and relative is refused by name, not repaired."""
    assert repr(path) in refusal([TarFile.of(path, b"")])
    with pytest.raises(MealkitError, match="LAYER_INVALID"):
        weight_header(path, 1)


def test_clashes_are_refused():
    """Two entries of one path, or one below a file or link, would depend on the reader."""
    assert "occurs twice" in refusal([TarFile.of("a", b"1"), TarFile.of("a", b"1")])
    assert "occurs twice" in refusal([TarDirectory("a"), TarDirectory("a", 0o700)])
    assert "lib is not a directory" in refusal(
        [TarSymlink("lib", "usr/lib"), TarFile.of("lib/x", b"")]
    )
    assert "not a file of this layer" in refusal([TarHardlink("a", "b")])
    assert "not a file of this layer" in refusal([TarHardlink("a", "b"), TarSymlink("b", "c")])
    assert "negative" in refusal([TarFile.of("a", b"", uid=-1)])
    assert written([TarDirectory("a"), TarDirectory("a")]) == written([TarDirectory("a")])


@pytest.mark.parametrize(("data", "word"), [(b"12", "shorter"), (b"1234", "longer")])
def test_content_of_another_size_is_refused(data, word):
    """A file that grew or shrank since it was looked at never makes a broken tar that seems whole."""
    with pytest.raises(MealkitError, match=f"SOURCE_CHANGED.*{word}"):
        written([TarFile("a", 3, lambda: [data])])


def test_padding_fills_the_block():
    """Nothing after a full block, the rest of it otherwise."""
    assert [len(padding(size)) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]
