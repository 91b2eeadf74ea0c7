"""The file cache: what it hands out was verified, and stays so."""

import os
from pathlib import Path

from mealkit.digest import Digest
from mealkit.sources.file_cache import FileCache

DATA = b"weights" * 1000
DIGEST = Digest.of(DATA)


def put(cache: FileCache) -> Path:
    with cache.new_part() as part:
        part.path.write_bytes(DATA)
        return cache.add(part.path, DIGEST)


def test_what_is_added_is_found(cache: FileCache) -> None:
    """A file stands under its digest, read-only, and the part is gone."""
    path = put(cache)
    assert cache.path(DIGEST) == path
    assert path.name == DIGEST.hex
    assert path.stat().st_mode & 0o777 == 0o444
    assert list(cache.parts.iterdir()) == []


def test_adding_twice_keeps_the_first(cache: FileCache) -> None:
    """The same bytes a second time leave the first file, which may be in use, where it is."""
    inode = put(cache).stat().st_ino
    assert put(cache).stat().st_ino == inode


def test_an_unchanged_file_is_not_read_again(cache: FileCache) -> None:
    """What looks as it did when it was verified is trusted: its bytes are not read."""
    path = put(cache)
    before = path.stat().st_atime_ns
    os.utime(path.parent, None)
    assert cache.path(DIGEST) == path
    assert path.stat().st_atime_ns == before


def test_a_damaged_file_is_deleted(cache: FileCache) -> None:
    """A byte that was changed later is found, even if the modification time was put back."""
    path = put(cache)
    seen = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"W")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert cache.path(DIGEST) is None
    assert not path.exists()


def test_a_touched_file_is_verified_again(cache: FileCache) -> None:
    """A file that only looks changed is hashed, and trusted again."""
    path = put(cache)
    os.utime(path)
    assert cache.path(DIGEST) == path
    assert cache.path(DIGEST) == path


def test_a_lost_or_broken_record_costs_one_hash(cache: FileCache) -> None:
    """A process killed between moving and recording leaves a file that is verified on sight."""
    path = put(cache)
    record = path.parent.parent / "verified" / f"{DIGEST.hex}.json"
    for broken in (b"", b"{}", b"[1]"):
        record.write_bytes(broken)
        assert cache.path(DIGEST) == path
    record.unlink()
    assert cache.path(DIGEST) == path
    assert record.exists()


def test_a_link_or_folder_is_not_a_file(cache: FileCache, tmp_path: Path) -> None:
    """A symbolic link in a file's place is not followed."""
    path = put(cache)
    path.unlink()
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)
    path.symlink_to(outside)
    assert cache.path(DIGEST) is None


def test_dropping_what_is_not_there_is_nothing(cache: FileCache) -> None:
    """Dropping twice is as good as once."""
    put(cache)
    cache.drop(DIGEST)
    cache.drop(DIGEST)
    assert cache.path(DIGEST) is None


def test_a_part_that_is_given_up_is_deleted(cache: FileCache) -> None:
    """What was not added leaves nothing behind."""
    with cache.new_part() as part:
        part.write(b"half")
    assert list(cache.parts.iterdir()) == []


def test_pruning_keeps_what_is_asked_for_and_what_is_written(cache: FileCache) -> None:
    """Files that nobody wants and parts that nobody writes are deleted, nothing else."""
    kept = put(cache)
    other = Digest.of(b"other")
    with cache.new_part() as part:
        part.path.write_bytes(b"other")
        cache.add(part.path, other)
    with cache.new_part() as busy:
        busy.write(b"busy")
        (cache.parts / "left.part").write_bytes(b"left by a killed process")
        (cache.parts / "left.json").write_bytes(b"{}")
        assert cache.prune({DIGEST}) == len(b"other") + len(b"left by a killed process")
        assert list(cache.parts.iterdir()) == [busy.path]
    assert cache.path(DIGEST) == kept
    assert cache.path(other) is None
