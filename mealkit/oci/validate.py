"""Validation of an image: every blob is read again, every statement held against the others.

Refuses nothing: what is wrong comes back as problems, all of them at once.
"""

import hashlib
import importlib
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.oci.descriptor import (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    LAYER,
    LAYER_GZIP,
    LAYER_TYPES,
    LAYER_ZSTD,
    Descriptor,
)
from mealkit.oci.image import Blob, Image, Layer, read_image
from mealkit.oci.shape import config_faults, manifest_faults

# A few KB of gzip can inflate to gigabytes: it is taken out in pieces of this size.
_PIECE_BYTES = 1024 * 1024

Advance = Callable[[int], None]


def validate(image: Image, advance: Advance = lambda _: None) -> list[Problem]:
    """Return all that is wrong with an image; nothing, if it is whole and true.

    Checked are the shapes of manifest and config, all digests and sizes, and the diff ids of
    layers, which are unpacked for it. ``advance`` is told the bytes of layers as they are read.
    A part that cannot be checked here is a problem too: ``IMAGE_UNCHECKED``.
    """
    found = _statement_problems(image)
    if found:
        return found
    described = [Descriptor.from_json(form) for form in image.manifest["layers"]]
    for layer, descriptor in zip(image.layers, described, strict=True):
        found += _layer_problems(layer, descriptor, advance)
    return found


def blob_problems(blob: Blob, advance: Advance = lambda _: None) -> list[Problem]:
    """Read a blob, and return what is wrong with its bytes."""
    return _read_problems(blob, advance, None)


def _statement_problems(image: Image) -> list[Problem]:
    """Hold manifest, config and layers against the specification and each other."""
    try:
        read_image(image.raw_manifest, image.raw_config, _blob_of(image))
    except MealkitError as error:
        return list(error.problems)
    faults = manifest_faults(json.loads(image.raw_manifest), image.media_type)
    faults += config_faults(json.loads(image.raw_config))
    config = image.config_descriptor
    if config.digest != Digest.of(image.raw_config):
        faults.append(f"the manifest names config {config.digest}, the image has another")
    elif config.size_bytes != len(image.raw_config):
        faults.append(f"the config has {len(image.raw_config)} bytes, not {config.size_bytes}")
    diff_ids = image.config["rootfs"]["diff_ids"]
    if [str(layer.diff_id) for layer in image.layers] != diff_ids:
        faults.append("the layers' diff ids are not those of the config")
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
        message = f"layer {layer.descriptor} is not what the manifest says: {descriptor}"
        return [problem("IMAGE_INVALID", message, where=descriptor.digest)]
    if descriptor.media_type == LAYER_ZSTD and _zstd() is None:
        unchecked = problem(
            "IMAGE_UNCHECKED",
            f"layer {descriptor.digest} is zstd, which this Python cannot unpack:"
            " its diff id was not checked",
            where=descriptor.digest,
        )
        return [*_read_problems(layer.blob, advance, None), unchecked]
    return _read_problems(layer.blob, advance, layer)


def _read_problems(blob: Blob, advance: Advance, layer: Layer | None) -> list[Problem]:
    """Read a blob once: hash it, and hash what it unpacks to if it is a layer."""
    outer, size_bytes = hashlib.sha256(), 0
    unpacker = None if layer is None else _unpacker(layer.media_type)
    try:
        for chunk in blob.chunks():
            outer.update(chunk)
            size_bytes += len(chunk)
            advance(len(chunk))
            if unpacker:
                unpacker.feed(chunk)
    except MealkitError as error:
        return list(error.problems)
    digest = Digest.from_hex(outer.hexdigest())
    if digest != blob.digest or size_bytes != blob.size_bytes:
        message = (
            f"blob {blob.digest} should have {blob.size_bytes} bytes;"
            f" it has {size_bytes} with the digest {digest}"
        )
        return [problem("BLOB_DAMAGED", message, where=blob.digest)]
    if layer is None:
        return []
    found = unpacker.diff_id() if unpacker else digest
    if found != layer.diff_id:
        what = found or "nothing: it is cut off or not of its media type"
        message = f"layer {digest} should unpack to {layer.diff_id}; it unpacks to {what}"
        return [problem("IMAGE_INVALID", message, where=digest)]
    return []


class _Decompressor(Protocol):
    """One gzip member or zstd frame; what is neither raises ValueError."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def pieces(self, data: bytes) -> Iterator[bytes]: ...


class _Gzip:
    """One gzip member (RFC 1952)."""

    def __init__(self) -> None:
        self._state = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            piece = self._state.decompress(data, _PIECE_BYTES)
            while piece or self._state.unconsumed_tail:
                yield piece
                piece = self._state.decompress(self._state.unconsumed_tail, _PIECE_BYTES)
        except zlib.error as error:
            raise ValueError("not gzip") from error


class _Zstd:
    """One zstd frame (RFC 8878), where Python has the module."""

    def __init__(self, module: Any) -> None:
        self._state = module.ZstdDecompressor()
        self._error: type[Exception] = module.ZstdError

    @property
    def eof(self) -> bool:
        return bool(self._state.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._state.unused_data)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            yield self._state.decompress(data, _PIECE_BYTES)
            while not self._state.eof and not self._state.needs_input:
                yield self._state.decompress(b"", _PIECE_BYTES)
        except self._error as error:
            raise ValueError("not zstd") from error


class _Unpacker:
    """Hashes what a compressed stream unpacks to; members may follow each other."""

    def __init__(self, make: Callable[[], _Decompressor]) -> None:
        self._make = make
        self._member: _Decompressor | None = None
        self._hash = hashlib.sha256()
        self._broken = False

    def feed(self, chunk: bytes | memoryview) -> None:
        data = bytes(chunk)
        while data and not self._broken:
            member = self._member or self._make()
            try:
                for piece in member.pieces(data):
                    self._hash.update(piece)
            except ValueError:
                self._broken = True
            data = member.unused_data if member.eof else b""
            self._member = None if member.eof else member

    def diff_id(self) -> Digest | None:
        """Return the digest of all that was unpacked, or None if that was not a whole stream."""
        if self._broken or self._member is not None:
            return None
        return Digest.from_hex(self._hash.hexdigest())


def _unpacker(media_type: str) -> _Unpacker | None:
    if media_type in {LAYER, DOCKER_LAYER} or media_type not in LAYER_TYPES:
        return None
    if media_type in {LAYER_GZIP, DOCKER_LAYER_GZIP}:
        return _Unpacker(_Gzip)
    module = _zstd()
    return _Unpacker(lambda: _Zstd(module))


def _zstd() -> Any:
    """Return Python's zstd module, which is there from 3.14 on, or None."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return None
