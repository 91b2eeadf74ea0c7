"""Validates an image: reads every blob again and checks that config, manifest and layers agree.

Returns all problems together.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.oci.compression import PLAIN_TYPES, can_unpack, max_unpacked_bytes, unpacked
from mealkit.oci.descriptor import LAYER_ZSTD, Descriptor
from mealkit.oci.image import Blob, Image, Layer, read_image
from mealkit.oci.typed_json import config_faults, manifest_faults
from mealkit.progress import Advance, silent
from mealkit.untrusted import UntrustedError


def validate(image: Image, advance: Advance = silent) -> list[Problem]:
    """Return all problems of an image; an empty list if it is complete and valid.

    Checks the formats of manifest and config, all digests and sizes, and the diff ids of layers,
    which it decompresses. ``advance`` is called with the bytes of layers as they are read. A part
    that cannot be checked here is also a problem: ``IMAGE_UNCHECKED``.
    """
    found = _statement_problems(image)
    if found:
        return found
    for layer, descriptor in zip(image.layers, image.manifest.layers, strict=True):
        found += _layer_problems(layer, descriptor, advance)
    return found


def blob_problems(blob: Blob, advance: Advance = silent) -> list[Problem]:
    """Read a blob, and return the problems of its bytes."""
    return _read_problems(blob, advance, None)


def check_diff_id(layer: Layer) -> None:
    """Decompress a layer whose blob is valid, and compare the result with its diff id.

    Skips a compression that this machine does not support, because decompressing would fail later.

    Raises:
        StoreError: ``IMAGE_INVALID``: the diff id differs, or the result is far too large.
    """
    found: Digest | str = layer.blob.digest
    if not can_unpack(layer.media_type):
        return
    if layer.media_type not in PLAIN_TYPES:
        found = _unpacked_digest(layer, layer.blob.chunks())
    if found != layer.diff_id:
        message = f"layer {layer.blob.digest} should unpack to {layer.diff_id}"
        raise failure("IMAGE_INVALID", f"{message}; it unpacks to {found}", where=layer.diff_id)


def require_unpackable(layers: Sequence[Layer], purpose: str, or_else: str = "") -> None:
    """Check that this machine can decompress layers.

    ``purpose`` is what needs it, as in "the sandbox", and ``or_else`` another way.

    Raises:
        StoreError: ``IMAGE_UNCHECKED``.
    """
    for layer in layers:
        if layer.media_type == LAYER_ZSTD and not can_unpack(LAYER_ZSTD):
            raise failure(
                "IMAGE_UNCHECKED",
                f"layer {layer.blob.digest} is zstd, which this Python cannot unpack,"
                f" and {purpose} needs its content",
                hint="use Python 3.14 or later, or install backports.zstd beside mealkit"
                f"{'; or ' if or_else else ''}{or_else}",
                where=layer.blob.digest,
            )


def _statement_problems(image: Image) -> list[Problem]:
    """Check manifest, config and layers against the specification and against each other."""
    try:
        read_image(image.raw_manifest, image.raw_config, _blob_of(image))
    except MealkitError as error:
        return list(error.problems)
    faults = manifest_faults(json.loads(image.raw_manifest), image.media_type)
    faults += config_faults(json.loads(image.raw_config))
    config = image.config_descriptor
    if config.digest != Digest.of(image.raw_config):
        faults.append(f"the manifest names config {config.digest}, but the image has another")
    elif config.size_bytes != len(image.raw_config):
        faults.append(f"the config has {len(image.raw_config)} bytes, not {config.size_bytes}")
    diff_ids = image.config["rootfs"]["diff_ids"]
    if [str(layer.diff_id) for layer in image.layers] != diff_ids:
        faults.append("the layers' diff ids differ from those in the config")
    return [problem("IMAGE_INVALID", fault, where=image.digest) for fault in faults]


def _blob_of(image: Image) -> Callable[[Descriptor], Blob]:
    blobs = {layer.blob.digest: layer.blob for layer in image.layers}

    def blob_of(descriptor: Descriptor) -> Blob:
        found = blobs.get(descriptor.digest)
        if found is None:
            raise failure("BLOB_MISSING", f"the image has no layer {descriptor.digest}")
        return found

    return blob_of


def _layer_problems(layer: Layer, descriptor: Descriptor, advance: Advance) -> list[Problem]:
    if layer.descriptor != descriptor:
        message = f"layer {layer.descriptor} differs from the manifest's {descriptor}"
        return [problem("IMAGE_INVALID", message, where=descriptor.digest)]
    if descriptor.media_type == LAYER_ZSTD and not can_unpack(LAYER_ZSTD):
        unchecked = problem(
            "IMAGE_UNCHECKED",
            f"layer {descriptor.digest} is zstd, which this Python cannot unpack:"
            " its diff id was not checked",
            where=descriptor.digest,
        )
        return [*_read_problems(layer.blob, advance, None), unchecked]
    return _read_problems(layer.blob, advance, layer)


def _read_problems(blob: Blob, advance: Advance, layer: Layer | None) -> list[Problem]:
    """Read a blob once: hash it and, if it is a layer, also its decompressed bytes."""
    reading = _Reading(blob, advance)
    found: Digest | str | None = None
    try:
        if layer is not None and layer.media_type not in PLAIN_TYPES:
            found = _unpacked_digest(layer, reading.chunks())
        reading.finish()
    except MealkitError as error:
        return list(error.problems)
    digest = reading.digest()
    if digest != blob.digest or reading.size_bytes != blob.size_bytes:
        message = (
            f"blob {blob.digest} should have {blob.size_bytes} bytes;"
            f" it has {reading.size_bytes} with the digest {digest}"
        )
        return [problem("BLOB_DAMAGED", message, where=blob.digest)]
    if layer is None:
        return []
    found = found or digest
    if found != layer.diff_id:
        message = f"layer {digest} should unpack to {layer.diff_id}; it unpacks to {found}"
        return [problem("IMAGE_INVALID", message, where=digest)]
    return []


class _Reading:
    """A blob that is read once and hashed at the same time."""

    def __init__(self, blob: Blob, advance: Advance) -> None:
        self.size_bytes = 0
        self._advance = advance
        self._state = hashlib.sha256()
        self._chunks = self._counted(blob)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes that were not read yet."""
        return self._chunks

    def finish(self) -> None:
        """Read the rest."""
        for _ in self._chunks:
            pass

    def digest(self) -> Digest:
        """Return the digest of the bytes that were read."""
        return Digest.from_hex(self._state.hexdigest())

    def _counted(self, blob: Blob) -> Iterator[bytes | memoryview]:
        for chunk in blob.chunks():
            self._state.update(chunk)
            self.size_bytes += len(chunk)
            self._advance(len(chunk))
            yield chunk


def _unpacked_digest(layer: Layer, chunks: Iterator[bytes | memoryview]) -> Digest | str:
    """Return the digest of a compressed layer's content, or why there is none."""
    state = hashlib.sha256()
    max_bytes = max_unpacked_bytes(layer.media_type, layer.blob.size_bytes)
    try:
        for piece in unpacked(layer.media_type, chunks, max_bytes):
            state.update(piece)
    except UntrustedError as error:
        return f"nothing, it is truncated or does not have its media type: {error}"
    return Digest.from_hex(state.hexdigest())
