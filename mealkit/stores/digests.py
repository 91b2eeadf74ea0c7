"""The digest cache: a file that did not change is not hashed again.

An entry is not used if it was written in the same clock tick as the file's last change.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.files.hashing import HashTask, hash_files
from mealkit.files.identity import TICK_NS, FileKey, path_of, text_of
from mealkit.files.whole import write_whole
from mealkit.progress import Advance, silent
from mealkit.untrusted import parse_json_object, read_file

# A path, and a few digests of one file.
_MAX_ENTRY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HashJob:
    """A file, and the bytes that surround it in its layer."""

    path: Path
    head: bytes
    tail: bytes

    @property
    def frame(self) -> str:
        """The key that distinguishes this head and tail from others."""
        return f"{Digest.of(self.head).hex}-{Digest.of(self.tail).hex}"


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A hashed file: its key at that time, its own digest, and that of head + file + tail."""

    key: FileKey
    file: Digest
    layer: Digest


class DigestCache:
    """Digests by path and file key, one small JSON file per path.

    Several processes may use one folder: files are replaced atomically. If two write concurrently,
    one result is lost and computed again later. A file that cannot be read counts as missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def digest_files(self, jobs: Sequence[HashJob], advance: Advance = silent) -> list[HashedFile]:
        """Return both digests of each file; hash unknown files, on all CPUs.

        ``advance`` is called once with the bytes of each file, for known files immediately.

        Raises:
            SourceError: ``SOURCE_CHANGED``: a file was deleted, or changed while it was hashed.
        """
        keys = [_settled_key(job.path) for job in jobs]
        known = [self._load(job.path, key) for job, key in zip(jobs, keys, strict=True)]
        tasks = [
            HashTask(
                job.path,
                key,
                job.head,
                job.tail,
                wants_file=record.file is None,
                wants_layer=job.frame not in record.layers,
            )
            for job, key, record in zip(jobs, keys, known, strict=True)
        ]
        for task in tasks:
            if not task.cost_bytes:
                advance(task.key.size_bytes)
        found = hash_files(tasks, advance)
        done: list[HashedFile] = []
        for job, record, hashes in zip(jobs, known, found, strict=True):
            file, layer = record.file or hashes.file, hashes.layer or record.layers.get(job.frame)
            if file is None or layer is None:
                raise AssertionError("a requested hash was not computed")
            if hashes.file or hashes.layer:
                self._save(job.path, record.with_digests(file, {job.frame: layer}))
            done.append(HashedFile(record.key, file, layer))
        return done

    def file(self, path: Path) -> Digest | None:
        """Return a file's digest if it is known, without reading the file."""
        try:
            return self._load(path, FileKey.of(path)).file
        except OSError:
            return None

    def prune(self) -> int:
        """Delete entries of files that were deleted or changed; return the freed bytes."""
        freed_bytes = 0
        for entry in self._folder.glob("*.json"):
            try:
                form = parse_json_object(read_file(entry, _MAX_ENTRY_BYTES))
                current = FileKey.of(path_of(form["path"])).as_json() == form["key"]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                current = False
            if not current:
                freed_bytes += entry.stat().st_size
                entry.unlink(missing_ok=True)
        return freed_bytes

    def _entry(self, path: Path) -> Path:
        return self._folder / f"{Digest.of(os.fsencode(path.resolve())).hex}.json"

    def _load(self, path: Path, key: FileKey) -> "_Record":
        """Return the record of the file with this key; an empty one if it is not known."""
        now_ns = time.time_ns()
        try:
            record = _Record.from_json(
                parse_json_object(read_file(self._entry(path), _MAX_ENTRY_BYTES))
            )
        except (OSError, ValueError, KeyError, TypeError):
            return _Record(key, now_ns)
        trusted = record.key == key and key.is_settled_at(record.started_ns)
        return record if trusted else _Record(key, now_ns)

    def _save(self, path: Path, record: "_Record") -> None:
        form = {"path": text_of(path.resolve()), **record.as_json()}
        write_whole(self._entry(path), canonical_json(form), durable=False)


@dataclass(frozen=True, slots=True)
class _Record:
    """The digests of one file, and the time when its first hash was started."""

    key: FileKey
    started_ns: int
    file: Digest | None = None
    layers: Mapping[str, Digest] = field(default_factory=dict)

    def with_digests(self, file: Digest, layers: Mapping[str, Digest]) -> "_Record":
        return _Record(self.key, self.started_ns, file, {**self.layers, **layers})

    def as_json(self) -> dict[str, object]:
        return {
            "key": self.key.as_json(),
            "started": self.started_ns,
            "file": self.file,
            "layers": dict(self.layers),
        }

    @classmethod
    def from_json(cls, form: Mapping[str, object]) -> Self:
        started_ns, file, layers = form["started"], form["file"], form["layers"]
        if not isinstance(started_ns, int) or not isinstance(layers, dict):
            raise TypeError("not a record")
        return cls(
            FileKey.from_json(form["key"]),
            started_ns,
            None if file is None else Digest(str(file)),
            {str(frame): Digest(digest) for frame, digest in layers.items()},
        )


def _settled_key(path: Path) -> FileKey:
    """Read a file's key; for a file just written, wait until a later write would change it.

    This takes a few milliseconds at most, so that the next hash can be reused later.
    """
    try:
        key = FileKey.of(path)
    except OSError as error:
        raise failure(
            "SOURCE_CHANGED", f"{path} cannot be read: {error.strerror}", where=str(path)
        ) from error
    wait_ns = key.ctime_ns + key.tick_ns + 1_000_000 - time.time_ns()
    if 0 < wait_ns <= 2 * TICK_NS:
        time.sleep(wait_ns / 1e9)
    return key
