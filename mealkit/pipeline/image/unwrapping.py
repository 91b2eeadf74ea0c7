"""Takes the file of weights out of a layer, so that it can be mounted, and is stored once.

A weight layer is one file after a tar header that its annotations determine. The file gets into the
cache of verified files, from wherever the layer is, and the layer becomes a virtual one.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mealkit.assembly.lean import WeightLayer
from mealkit.digest import CHUNK_BYTES, Digest, file_chunks
from mealkit.errors import failure
from mealkit.files.identity import FileKey
from mealkit.oci.image import Blob
from mealkit.oci.tar import weight_footer, weight_header
from mealkit.progress import Advance
from mealkit.sources.file_cache import FileCache
from mealkit.sources.partial_download import PartialDownload, open_partial_download
from mealkit.stores.blobs import VirtualBlob

# Chunks that were read and are not hashed and written yet.
_CHUNKS_AHEAD = 3
# The disk begins to write after so many bytes; otherwise all are written at the end.
_SYNCED_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Around:
    """The bytes of a layer before and after its file."""

    head: bytes
    tail: bytes


def unwrapped(
    weight: WeightLayer,
    epoch_seconds: int,
    stored: Callable[[Around], tuple[Path, Digest | None]],
    hint: str,
) -> VirtualBlob:
    """Return a weight layer as a virtual one.

    ``stored`` returns its file in the cache; and the digest of the whole layer, if it is known.

    Raises:
        StoreError: the layer does not match its annotations (``IMAGE_INVALID``, with ``hint``).
    """
    head = weight_header(weight.path, weight.size_bytes, epoch_seconds=epoch_seconds)
    tail = weight_footer(weight.size_bytes)
    blob = weight.layer.blob
    if blob.size_bytes != len(head) + weight.size_bytes + len(tail):
        raise unlike(weight, "its size differs", hint)
    path, whole = stored(Around(head, tail))
    if (whole or _digest_within(head, path, tail)) != blob.digest:
        raise unlike(weight, "its header differs", hint)
    return VirtualBlob(blob.digest, head, path, FileKey.of(path), tail, weight.digest)


def unlike(weight: WeightLayer, reason: str, hint: str) -> Exception:
    """Return the error for a layer that is not the file that its annotations state."""
    return failure(
        "IMAGE_INVALID",
        f"layer {weight.layer.blob.digest.short} is not {weight.path} ({weight.digest}): {reason}",
        hint=hint,
    )


def unwrapped_here(
    weight: WeightLayer, epoch_seconds: int, cache: FileCache, advance: Advance
) -> VirtualBlob:
    """Store the file of a layer on this machine, such as one in an archive.

    A part that a killed command wrote is continued. ``advance`` is called with the file's bytes.

    Raises:
        StoreError: ``IMAGE_INVALID``: the layer does not match its annotations; ``BLOB_DAMAGED``;
            ``DISK_FULL``.
    """

    def stored(around: Around) -> tuple[Path, Digest | None]:
        while True:
            present = cache.path(weight.digest)
            if present is not None:
                advance(weight.size_bytes)
                return present, None
            with open_partial_download(cache.parts, weight.digest.hex) as part:
                if part is not None:
                    layer = _copied(weight, around, part, advance)
                    return cache.add(part.path, weight.digest), layer

    hint = "save the image again, on a machine where mealkit inspect --verify reports no problem"
    return unwrapped(weight, epoch_seconds, stored, hint)


def _copied(weight: WeightLayer, around: Around, part: PartialDownload, advance: Advance) -> Digest:
    """Write the missing bytes of a file; return the digest of the layer around all its bytes."""
    if part.size_bytes > weight.size_bytes:
        part.restart()
    layer = hashlib.sha256(around.head)
    for known in file_chunks(part.path):
        layer.update(known)
    advance(part.size_bytes)
    blob, start = weight.layer.blob, len(around.head) + part.size_bytes
    missing_bytes = weight.size_bytes - part.size_bytes
    with ThreadPoolExecutor(1) as syncing:
        to_disk = _Syncing(part, syncing)
        uses = (to_disk.store, part.hash, layer.update)
        _spread(blob, start, missing_bytes, uses, advance)
    if part.digest != weight.digest:
        found = part.digest
        part.discard()
        raise failure(
            "BLOB_DAMAGED",
            f"the bytes of {weight.path} have the digest {found}, expected {weight.digest}",
            where=blob.digest,
        )
    part.forget_origin()
    layer.update(around.tail)
    return Digest.from_hex(layer.hexdigest())


class _Syncing:
    """Writes a part, and has the disk write what is there while the rest is read and hashed."""

    def __init__(self, part: PartialDownload, pool: ThreadPoolExecutor) -> None:
        self._part = part
        self._pool = pool
        self._synced_bytes = part.size_bytes
        self._running: Future[None] | None = None

    def store(self, chunk: memoryview) -> None:
        self._part.store(chunk)
        is_idle = self._running is None or self._running.done()
        if is_idle and self._part.size_bytes - self._synced_bytes >= _SYNCED_BYTES:
            self._synced_bytes = self._part.size_bytes
            self._running = self._pool.submit(self._part.sync)


def _spread(
    blob: Blob,
    offset: int,
    length: int,
    uses: tuple[Callable[[memoryview], object], ...],
    advance: Advance,
) -> None:
    """Read bytes once, and use each chunk in several threads: one writes, the others hash."""
    buffers = [bytearray(CHUNK_BYTES) for _ in range(_CHUNKS_AHEAD + 1)]
    waiting = deque[list[Future[object]]]()
    pools = [ThreadPoolExecutor(1) for _ in uses]
    try:
        for number, chunk in enumerate(blob.chunks(offset, length)):
            view = memoryview(buffers[number % len(buffers)])[: len(chunk)]
            view[:] = chunk
            waiting.append([pool.submit(use, view) for pool, use in zip(pools, uses, strict=True)])
            while len(waiting) > _CHUNKS_AHEAD:
                _finish(waiting.popleft())
            advance(len(chunk))
        while waiting:
            _finish(waiting.popleft())
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _finish(used: list[Future[object]]) -> None:
    for future in used:
        future.result()


def _digest_within(head: bytes, file: Path, tail: bytes) -> Digest:
    state = hashlib.sha256(head)
    for chunk in file_chunks(file):
        state.update(chunk)
    state.update(tail)
    return Digest.from_hex(state.hexdigest())
