"""Hashes many large files on all CPUs: each file's own digest and its layer's, in parallel.

The two digests share no work (the header comes before the data), so they are two hashes of the
same bytes: in one pass by one thread, or, for a file that is much larger than the others, in two
threads with their own reads, which is faster than sharing buffers. Raises SourceError for files
that change in the meantime.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.digest import Digest, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.files.identity import FileKey
from mealkit.jobs import Stop, side_by_side
from mealkit.progress import Advance


@dataclass(frozen=True, slots=True)
class HashTask:
    """What to hash for one file: the file, head + file + tail, or both."""

    path: Path
    key: FileKey
    head: bytes
    tail: bytes
    wants_file: bool
    wants_layer: bool

    @property
    def cost_bytes(self) -> int:
        """The number of bytes to hash."""
        return self.key.size_bytes * (self.wants_file + self.wants_layer)


@dataclass(frozen=True, slots=True)
class Hashes:
    """The requested digests: the file's, its layer's, or both."""

    file: Digest | None
    layer: Digest | None


def hash_files(
    tasks: Sequence[HashTask], advance: Advance, threads: int | None = None
) -> list[Hashes]:
    """Hash files, in the order given; ``advance`` is called with the bytes of each file once.

    Uses one buffer per thread. The first failure, or an interrupt, stops all threads.

    Raises:
        SourceError: ``SOURCE_CHANGED``: a file does not match its key, before or after hashing.
    """
    threads = threads or len(os.sched_getaffinity(0))
    shares = [share for number, task in enumerate(tasks) for share in _shares(number, task)]
    if threads > 1:
        shares = _balance(shares, threads)
    shares.sort(key=lambda share: -share.task.cost_bytes)
    run = _Run(advance)
    hashed = side_by_side(run.hash, shares, threads=threads, stop=run.stop)
    results = [Hashes(None, None)] * len(tasks)
    for share, found in zip(shares, hashed, strict=True):
        known = results[share.number]
        results[share.number] = Hashes(known.file or found.file, known.layer or found.layer)
    return results


@dataclass(frozen=True, slots=True)
class _Share:
    """One thread's part of a task; if two threads share it, only one reports progress."""

    number: int
    task: HashTask
    reports: bool


def _shares(number: int, task: HashTask) -> Iterator[_Share]:
    if task.wants_file or task.wants_layer:
        yield _Share(number, task, reports=True)


def _balance(shares: Sequence[_Share], threads: int) -> list[_Share]:
    """Split tasks that would take one thread longer than an even share of all work."""
    even_bytes = sum(share.task.cost_bytes for share in shares) / threads
    balanced: list[_Share] = []
    for share in shares:
        task = share.task
        if task.wants_file and task.wants_layer and task.cost_bytes > even_bytes:
            balanced.append(_Share(share.number, replace(task, wants_file=False), reports=True))
            balanced.append(_Share(share.number, replace(task, wants_layer=False), reports=False))
        else:
            balanced.append(share)
    return balanced


class _Run:
    """The state that all threads share."""

    def __init__(self, advance: Advance) -> None:
        self.stop = Stop()
        self._advance = self.stop.guarded(advance)

    def hash(self, share: _Share) -> Hashes:
        task = share.task
        file_hash = hashlib.sha256() if task.wants_file else None
        layer_hash = hashlib.sha256(task.head) if task.wants_layer else None
        hashes = [state for state in (file_hash, layer_hash) if state is not None]
        _check(task)
        try:
            for chunk in file_chunks(task.path, 0, task.key.size_bytes):
                self.stop.check()
                for state in hashes:
                    state.update(chunk)
                if share.reports:
                    self._advance(len(chunk))
        except OSError as error:
            raise _changed(task.path, f"it cannot be read: {error.strerror}") from error
        _check(task)
        if layer_hash is not None:
            layer_hash.update(task.tail)
        return Hashes(
            Digest.from_hex(file_hash.hexdigest()) if file_hash else None,
            Digest.from_hex(layer_hash.hexdigest()) if layer_hash else None,
        )


def _check(task: HashTask) -> None:
    try:
        found = FileKey.of(task.path)
    except OSError as error:
        raise _changed(task.path, f"it cannot be read: {error.strerror}") from error
    if found != task.key:
        raise _changed(task.path, task.key.difference(found))


def _changed(path: Path, what: str) -> MealkitError:
    return failure("SOURCE_CHANGED", f"{path} changed while it was hashed: {what}", where=str(path))
