"""Takes a file of weights out of a layer on this machine, such as one in an archive.

The file and its layer have different digests, and the bytes are read once for both: two threads
hash them, and a third reads ahead.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mealkit.assembly.lean import WeightLayer
from mealkit.digest import Digest, file_chunks
from mealkit.errors import failure
from mealkit.files.identity import FileKey
from mealkit.oci.tar import weight_footer, weight_header
from mealkit.progress import Advance
from mealkit.sources.file_cache import FileCache
from mealkit.sources.partial_download import PartialDownload, open_partial_download
from mealkit.stores.blobs import VirtualBlob


def unwrap(
    weight: WeightLayer, epoch_seconds: int, cache: FileCache, advance: Advance
) -> VirtualBlob:
    """Store the file of a weight layer in the cache, and return the layer as a virtual one.

    A part that a killed command wrote is continued. ``advance`` is called with the file's bytes.

    Raises:
        StoreError: ``IMAGE_INVALID``: the layer does not match its annotations; ``BLOB_DAMAGED``;
            ``DISK_FULL``.
    """
    head = weight_header(weight.path, weight.size_bytes, epoch_seconds=epoch_seconds)
    tail = weight_footer(weight.size_bytes)
    if weight.layer.blob.size_bytes != len(head) + weight.size_bytes + len(tail):
        raise _unlike(weight, "its size differs")
    path, layer = _stored(weight, head, tail, cache, advance)
    if layer != weight.layer.blob.digest:
        raise _unlike(weight, "its header differs")
    return VirtualBlob(layer, head, path, FileKey.of(path), tail, weight.digest)


def _stored(
    weight: WeightLayer, head: bytes, tail: bytes, cache: FileCache, advance: Advance
) -> tuple[Path, Digest]:
    """Return the file in the cache, and the digest of the layer around it."""
    while True:
        present = cache.path(weight.digest)
        if present is not None:
            return present, _digest_around(present, head, tail, advance)
        with open_partial_download(cache.parts, weight.digest.hex) as part:
            if part is not None:
                layer = _copied(weight, head, tail, part, advance)
                return cache.add(part.path, weight.digest), layer


def _copied(
    weight: WeightLayer, head: bytes, tail: bytes, part: PartialDownload, advance: Advance
) -> Digest:
    """Write the missing bytes of a file; return the digest of the layer around all its bytes."""
    if part.size_bytes > weight.size_bytes:
        part.restart()
    layer = hashlib.sha256(head)
    for known in file_chunks(part.path):
        layer.update(known)
    advance(part.size_bytes)
    blob, left = weight.layer.blob, weight.size_bytes - part.size_bytes
    with ThreadPoolExecutor(1) as hasher:
        for chunk in blob.chunks(len(head) + part.size_bytes, left):
            hashed = hasher.submit(layer.update, chunk)
            part.write(chunk)
            hashed.result()
            advance(len(chunk))
    if part.digest != weight.digest:
        found = part.digest
        part.discard()
        raise failure(
            "BLOB_DAMAGED",
            f"the bytes of {weight.path} have the digest {found}, expected {weight.digest}",
            where=blob.digest,
        )
    part.forget_origin()
    layer.update(tail)
    return Digest.from_hex(layer.hexdigest())


def _digest_around(file: Path, head: bytes, tail: bytes, advance: Advance) -> Digest:
    layer = hashlib.sha256(head)
    for chunk in file_chunks(file):
        layer.update(chunk)
        advance(len(chunk))
    layer.update(tail)
    return Digest.from_hex(layer.hexdigest())


def _unlike(weight: WeightLayer, reason: str) -> Exception:
    blob = weight.layer.blob
    return failure(
        "IMAGE_INVALID",
        f"layer {blob.digest.short} is not {weight.path} ({weight.digest}): {reason}",
        hint="save the image again, on a machine where mealkit inspect --verify reports no problem",
    )
