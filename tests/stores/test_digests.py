"""Files are hashed once, on all CPUs, and never believed to be what they no longer are."""

import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.hashing import HashTask, hash_files
from mealkit.files.identity import FileKey, path_of, text_of
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


@pytest.mark.parametrize("sizes", [[], [0], [1], [3 * MIB + 1], [5, 2 * MIB, 7], [MIB] * 5, [0, 0]])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_both_digests_of_every_file(tmp_path, sizes, threads):
    """However the work is shared out, both digests are right and each byte is told once."""
    jobs = jobs_of(make_files(tmp_path, sizes))
    told, lock = [], threading.Lock()

    def advance(count: int) -> None:
        assert lock.acquire(blocking=False), "progress is told by one thread at a time"
        told.append(count)
        lock.release()

    tasks = [
        HashTask(
            job.path, FileKey.of(job.path), job.head, job.tail, wants_file=True, wants_layer=True
        )
        for job in jobs
    ]
    found = hash_files(tasks, advance, threads)
    assert [(item.file, item.layer) for item in found] == [expected(job) for job in jobs]
    assert sum(told) == sum(sizes)


def test_only_what_is_wanted_is_hashed(tmp_path):
    """A digest that is known already costs nothing."""
    (path,) = make_files(tmp_path, [10])
    task = HashTask(path, FileKey.of(path), b"", b"", wants_file=False, wants_layer=True)
    (found,) = hash_files([task], lambda _: None)
    assert (found.file, found.layer) == (None, Digest.of(path.read_bytes()))
    (found,) = hash_files([replace(task, wants_layer=False)], lambda _: None)
    assert (found.file, found.layer) == (None, None)


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


def test_whole_second_clocks_get_a_wider_guard():
    """File systems that keep whole seconds are trusted only after two of them."""
    fine, coarse = FileKey(1, 0, 5_000_000_001, 1, 1), FileKey(1, 0, 5_000_000_000, 1, 1)
    assert fine.is_settled_at(5_100_000_000)
    assert not coarse.is_settled_at(5_100_000_000)
    assert coarse.is_settled_at(7_100_000_000)


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
    assert path_of(text_of(target)) == target


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


@pytest.mark.parametrize("change", ["write", "truncate", "delete", "replace"])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_that_changes_while_it_is_hashed_is_refused(tmp_path, change, threads):
    """The change happens after the first chunk; the failure ends all threads and names the file."""
    paths = make_files(tmp_path, [4 * MIB, 4 * MIB])
    changed = []

    def advance(_: int) -> None:
        if changed:
            return
        changed.append(paths[0])
        match change:
            case "write":
                with paths[0].open("r+b") as stream:
                    stream.write(b"different")
            case "truncate":
                os.truncate(paths[0], 5)
            case "delete":
                paths[0].unlink()
            case "replace":
                (tmp_path / "new").write_bytes(paths[0].read_bytes())
                (tmp_path / "new").replace(paths[0])

    tasks = [
        HashTask(path, FileKey.of(path), b"", b"", wants_file=True, wants_layer=True)
        for path in paths
    ]
    with pytest.raises(MealkitError) as caught:
        hash_files(tasks, advance, threads)
    assert caught.value.problems[0].code == "SOURCE_CHANGED"
    assert caught.value.problems[0].where == str(paths[0])


def test_an_interrupt_ends_the_threads(tmp_path):
    """An error from whoever listens to progress comes back, and no thread is left."""
    paths = make_files(tmp_path, [8 * MIB, 8 * MIB])
    tasks = [
        HashTask(path, FileKey.of(path), b"", b"", wants_file=True, wants_layer=True)
        for path in paths
    ]
    before = threading.active_count()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_files(tasks, interrupt, 2)
    assert threading.active_count() == before


@given(st.binary(max_size=5000), st.binary(max_size=100), st.binary(max_size=100))
def test_digests_are_those_of_the_bytes(tmp_path_factory, data, head, tail):
    """Any content, head and tail."""
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    task = HashTask(path, FileKey.of(path), head, tail, wants_file=True, wants_layer=True)
    (found,) = hash_files([task], lambda _: None, 2)
    assert found.file.hex == hashlib.sha256(data).hexdigest()
    assert found.layer.hex == hashlib.sha256(head + data + tail).hexdigest()
