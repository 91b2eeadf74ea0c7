"""Files are hashed on all CPUs: whole, once, and never while they change."""

import hashlib
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
from mealkit.files.identity import FileKey

MIB = 1024 * 1024
HEAD, TAIL = b"head", b"tail"


def make_files(folder: Path, sizes: list[int]) -> list[Path]:
    paths = []
    for number, size in enumerate(sizes):
        path = folder / f"file{number}"
        path.write_bytes(os.urandom(size))
        paths.append(path)
    return paths


def expected(path: Path) -> tuple[Digest, Digest]:
    data = path.read_bytes()
    return Digest.of(data), Digest.of(HEAD + data + TAIL)


@pytest.mark.parametrize("sizes", [[], [0], [1], [3 * MIB + 1], [5, 2 * MIB, 7], [MIB] * 5, [0, 0]])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_both_digests_of_every_file(tmp_path, sizes, threads):
    """However the work is shared out, both digests are right and each byte is told once."""
    paths = make_files(tmp_path, sizes)
    told, lock = [], threading.Lock()

    def advance(count: int) -> None:
        assert lock.acquire(blocking=False), "progress is told by one thread at a time"
        told.append(count)
        lock.release()

    tasks = [
        HashTask(path, FileKey.of(path), HEAD, TAIL, wants_file=True, wants_layer=True)
        for path in paths
    ]
    found = hash_files(tasks, advance, threads)
    assert [(item.file, item.layer) for item in found] == [expected(path) for path in paths]
    assert sum(told) == sum(sizes)


def test_only_what_is_wanted_is_hashed(tmp_path):
    """A digest that is known already costs nothing."""
    (path,) = make_files(tmp_path, [10])
    task = HashTask(path, FileKey.of(path), b"", b"", wants_file=False, wants_layer=True)
    (found,) = hash_files([task], lambda _: None)
    assert (found.file, found.layer) == (None, Digest.of(path.read_bytes()))
    (found,) = hash_files([replace(task, wants_layer=False)], lambda _: None)
    assert (found.file, found.layer) == (None, None)


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
