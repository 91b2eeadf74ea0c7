"""The lock inside an image: read from its kit layer, a few KB, wherever the image is.

Nothing else of the image is read, and nothing of the layer is kept but the lock.
"""

import hashlib
from collections.abc import Callable, Iterator

from mealkit.assembly.lean import LAYER_KIND
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.compression import unpacked
from mealkit.oci.image import Image, Layer
from mealkit.oci.tar_source import Bytes, StreamSource
from mealkit.oci.untar import EntryError, Kind, TarStream, parts_of
from mealkit.paths import SETTINGS
from mealkit.plan.layers import LayerKind
from mealkit.recipe.lock import LOCK_NAME, Lock, read_lock
from mealkit.untrusted import UntrustedError

# Locks, prompts and a paper's own code are text; a kit layer beyond this is not one.
_MAX_LAYER_BYTES = 64 * 1024 * 1024
_MAX_LOCK_BYTES = 4 * 1024 * 1024
_MAX_ENTRIES = 100_000

_LOCK_PARTS = f"{SETTINGS}/{LOCK_NAME}".encode().split(b"/")


def lock_of(image: Image) -> Lock:
    """Return the lock that an image carries.

    Raises:
        StoreError: the image is not a kit's, or its kit layer cannot be read (``IMAGE_INVALID``,
            ``BLOB_DAMAGED``).
        LockError: its lock cannot be read (``LOCK_INVALID``).
    """
    layer = next(
        (
            item
            for item in reversed(image.layers)
            if item.annotations.get(LAYER_KIND) == LayerKind.KIT
        ),
        None,
    )
    if layer is None or layer.blob.size_bytes > _MAX_LAYER_BYTES:
        raise failure(
            "IMAGE_INVALID",
            f"{image.digest} is not an image that mealkit built: it has no kit layer",
            hint="mealkit run takes kits; start other images with their own tools",
        )
    return read_lock(_lock_bytes(image, layer), f"{image.digest.short}/{LOCK_NAME}")


def _lock_bytes(image: Image, layer: Layer) -> bytes:
    """Read a kit layer once, to its end, and return the one lock in it."""
    outer, inner = hashlib.sha256(), hashlib.sha256()
    packed = _hashed(layer.blob.chunks(), outer.update)
    try:
        plain = _hashed(unpacked(layer.media_type, packed, _MAX_LAYER_BYTES), inner.update)
        source = StreamSource(plain)
        locks = list(_locks(TarStream(source, max_entries=_MAX_ENTRIES)))
        source.drain()
    except UntrustedError as error:
        raise _invalid(image, f"cannot be read: {error}") from error
    if Digest.from_hex(outer.hexdigest()) != layer.blob.digest:
        raise failure("BLOB_DAMAGED", f"the kit layer of {image.digest} has other bytes")
    if Digest.from_hex(inner.hexdigest()) != layer.diff_id:
        raise _invalid(image, f"is not what its diff id {layer.diff_id} says")
    if len(locks) != 1:
        raise _invalid(image, f"has {len(locks)} locks, not one")
    return locks[0]


def _locks(stream: TarStream) -> Iterator[bytes]:
    for member in stream.members():
        if _is_lock(member.path):
            if member.kind is not Kind.FILE or member.size_bytes > _MAX_LOCK_BYTES:
                raise UntrustedError(f"its {LOCK_NAME} is no file of a lock's size")
            yield b"".join(bytes(piece) for piece in stream.data())


def _is_lock(path: bytes) -> bool:
    try:
        return parts_of(path) == _LOCK_PARTS
    except EntryError:  # it leads elsewhere, and nothing of it is unpacked here
        return False


def _hashed(chunks: Iterator[Bytes], update: Callable[[Bytes], None]) -> Iterator[Bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _invalid(image: Image, what: str) -> MealkitError:
    return failure("IMAGE_INVALID", f"the kit layer of {image.digest} {what}")
