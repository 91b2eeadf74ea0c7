"""Files are hashed once, and never believed to be what they no longer are."""

import json
import os
from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.identity import FileKey
from mealkit.stores.digests import DigestCache, HashJob

MIB = 1024 * 1024


@pytest.fixture
def cache(tmp_path) -> DigestCache:
    return DigestCache(tmp_path / "cache")


def make_files(folder: Path, sizes: list[int]) -> list[Path]:
    paths = []
    for number, size in enumerate(sizes):
        path = folder / f"file{number}"
        path.write_bytes(os.urandom(size))
        paths.append(path)
    return paths


def jobs_of(paths: list[Path], head: bytes = b"head", tail: bytes = b"tail") -> list[HashJob]:
    return [HashJob(path, head, tail) for path in paths]


def expected(job: HashJob) -> tuple[Digest, Digest]:
    data = job.path.read_bytes()
    return Digest.of(data), Digest.of(job.head + data + job.tail)


def test_a_file_is_not_read_twice(tmp_path, cache):
    """The second time nothing is read: the file may even be unreadable."""
    paths = make_files(tmp_path, [100, MIB])
    first = cache.digest_files(jobs_of(paths))
    assert [(item.file, item.layer) for item in first] == [expected(job) for job in jobs_of(paths)]
    told = []
    # Opening for reading would change the access time, if anything did.
    before = [path.stat().st_atime_ns for path in paths]
    again = DigestCache(tmp_path / "cache").digest_files(jobs_of(paths), told.append)
    assert again == first
    assert sorted(told) == [100, MIB]
    assert [path.stat().st_atime_ns for path in paths] == before
    assert cache.file(paths[0]) == first[0].file


def test_a_planted_entry_shows_that_the_cache_is_used(tmp_path, cache):
    """What the cache says is what is answered, so an unchanged file is not hashed again."""
    (path,) = make_files(tmp_path, [100])
    cache.digest_files(jobs_of([path]))
    (entry,) = (tmp_path / "cache").iterdir()
    form = json.loads(entry.read_text())
    form["file"] = "sha256:" + "0" * 64
    entry.write_text(json.dumps(form))
    assert cache.file(path) == "sha256:" + "0" * 64


def test_another_head_is_another_layer(tmp_path, cache):
    """Layer digests are kept per head and tail; the file's own is shared."""
    (path,) = make_files(tmp_path, [100])
    one = cache.digest_files(jobs_of([path], b"one"))[0]
    two = cache.digest_files(jobs_of([path], b"two"))[0]
    assert one.file == two.file
    assert one.layer != two.layer
    assert two.layer == expected(HashJob(path, b"two", b"tail"))[1]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert cache.digest_files(jobs_of([path], b"one"))[0] == one


@pytest.mark.parametrize("change", ["write", "same size and time", "replace", "grow", "link"])
def test_every_change_is_noticed(tmp_path, cache, change):
    """No edit gets through, not even one that restores size and modification time."""
    (path,) = make_files(tmp_path, [1000])
    cache.digest_files(jobs_of([path]))
    old = path.stat()
    match change:
        case "write":
            path.write_bytes(b"x" * 1000)
        case "same size and time":
            path.write_bytes(b"y" * 1000)
            os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
        case "replace":
            other = tmp_path / "other"
            other.write_bytes(b"z" * 1000)
            os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
            other.replace(path)
        case "grow":
            with path.open("ab") as stream:
                stream.write(b"!")
        case "link":
            (tmp_path / "second name").hardlink_to(path)
    assert cache.file(path) is None
    (found,) = cache.digest_files(jobs_of([path]))
    assert (found.file, found.layer) == expected(jobs_of([path])[0])


def test_an_entry_made_in_the_tick_of_the_last_change_is_not_trusted(tmp_path, cache):
    """A file written again in the same tick would look the same, so it is hashed again."""
    (path,) = make_files(tmp_path, [100])
    cache.digest_files(jobs_of([path]))
    (entry,) = (tmp_path / "cache").iterdir()
    form = json.loads(entry.read_text())
    assert FileKey.of(path).is_settled_at(form["started"])
    form["started"] = FileKey.of(path).ctime_ns + 1
    entry.write_text(json.dumps(form))
    assert cache.file(path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', "\udcff"])
def test_a_damaged_entry_is_as_good_as_none(tmp_path, cache, text):
    """The cache may be damaged or deleted at any time."""
    (path,) = make_files(tmp_path, [100])
    first = cache.digest_files(jobs_of([path]))
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(os.fsencode(text))
    assert cache.file(path) is None
    assert cache.digest_files(jobs_of([path])) == first


def test_prune_drops_entries_of_files_that_are_gone(tmp_path, cache):
    """The cache does not grow for ever."""
    paths = make_files(tmp_path, [10, 20])
    cache.digest_files(jobs_of(paths))
    paths[0].unlink()
    assert cache.prune() > 0
    assert cache.file(paths[1]) is not None
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_symbolic_links_and_odd_names_are_followed(tmp_path, cache):
    """A link is its target, and a name need not be Unicode."""
    target = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd \xff name"))
    target.write_bytes(b"data")
    (tmp_path / "link").symlink_to(target)
    (found,) = cache.digest_files(jobs_of([tmp_path / "link"]))
    assert found.file == Digest.of(b"data") == cache.file(target)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo"])
def test_what_is_not_a_file_is_refused(tmp_path, cache, kind):
    """Nothing but a regular file is hashed, and a pipe does not block."""
    path = tmp_path / "input"
    if kind == "folder":
        path.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(MealkitError, match="SOURCE_CHANGED"):
        cache.digest_files(jobs_of([path]))
