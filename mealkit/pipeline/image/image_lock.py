"""Reads the lock in an image from its kit layer, which has a few KB, wherever the image is.

It reads no other layer, and stores nothing.
"""

import hashlib
from collections.abc import Callable, Iterator

from mealkit.assembly.lean import layer_kind
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.compression import unpacked
from mealkit.oci.image import Image, Layer
from mealkit.oci.tar_source import Bytes, StreamSource
from mealkit.oci.untar import EntryError, Kind, TarStream, parts_of
from mealkit.oci.validate import require_unpackable
from mealkit.paths import SETTINGS
from mealkit.plan.layers import LayerKind
from mealkit.recipe.lock import LOCK_NAME, Lock, read_lock
from mealkit.untrusted import UntrustedError

# Locks, prompts and a paper's own code are text; a larger layer cannot be a kit layer.
_MAX_LAYER_BYTES = 64 * 1024 * 1024
_MAX_LOCK_BYTES = 4 * 1024 * 1024
_MAX_ENTRIES = 100_000

_KIT_LABEL = "dev.mealkit.kit"
_OTHER = "mealkit run starts only kits; start other images with a container client"
_SQUASHED = "a tool has joined its layers; copy the image with its layers, as docker push does"

_LOCK_PARTS = f"{SETTINGS}/{LOCK_NAME}".encode().split(b"/")


def kit_layer(image: Image) -> Layer | None:
    """Return the layer with the lock, or None if the image is not a kit's."""
    layers = (layer for layer in reversed(image.layers) if layer_kind(layer) == LayerKind.KIT)
    return next(layers, None)


def lock_of(image: Image) -> Lock:
    """Return the lock in an image.

    Raises:
        StoreError: the image is not a kit's, or its kit layer cannot be read
            (``IMAGE_INVALID``, ``BLOB_DAMAGED``).
        LockError: its lock cannot be read (``LOCK_INVALID``).
    """
    layer = kit_layer(image)
    if layer is None or layer.blob.size_bytes > _MAX_LAYER_BYTES:
        raise failure(
            "IMAGE_INVALID",
            f"{image.digest} is not an image that mealkit built: it has no kit layer",
            hint=_SQUASHED if _KIT_LABEL in image.labels else _OTHER,
        )
    require_unpackable([layer], "reading the lock")
    return read_lock(_lock_bytes(image, layer), f"{image.digest.short}/{LOCK_NAME}")


def _lock_bytes(image: Image, layer: Layer) -> bytes:
    """Read a kit layer to its end, and return the lock in it."""
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
        raise failure(
            "BLOB_DAMAGED", f"the bytes of the kit layer of {image.digest} do not match its digest"
        )
    if Digest.from_hex(inner.hexdigest()) != layer.diff_id:
        raise _invalid(image, f"does not match its diff id {layer.diff_id}")
    if len(locks) != 1:
        raise _invalid(image, f"contains {len(locks)} locks, expected 1")
    return locks[0]


def _locks(stream: TarStream) -> Iterator[bytes]:
    for member in stream.members():
        if _is_lock(member.path):
            if member.kind is not Kind.FILE or member.size_bytes > _MAX_LOCK_BYTES:
                raise UntrustedError(f"its {LOCK_NAME} is not a regular file, or is too large")
            yield b"".join(bytes(piece) for piece in stream.data())


def _is_lock(path: bytes) -> bool:
    try:
        return parts_of(path) == _LOCK_PARTS
    except EntryError:  # the path is outside the layer's root; nothing is unpacked here
        return False


def _hashed(chunks: Iterator[Bytes], update: Callable[[Bytes], None]) -> Iterator[Bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _invalid(image: Image, what: str) -> MealkitError:
    return failure("IMAGE_INVALID", f"the kit layer of {image.digest} {what}")
