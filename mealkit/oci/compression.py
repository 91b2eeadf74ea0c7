"""Decompresses layers as a stream, with a limit for the size of the result.

Raises UntrustedError for bytes that do not have their media type, for streams that end early, and
for layers that decompress to far more than real ones. Formats: gzip (RFC 1952), zstd (RFC 8878), if
Python or the package backports.zstd has it.
"""

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

from mealkit.oci.descriptor import (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
)
from mealkit.untrusted import UntrustedError, decompressed, shown, slices

Bytes = bytes | memoryview

PLAIN_TYPES = frozenset({LAYER, DOCKER_LAYER})
_GZIP_TYPES = frozenset({LAYER_GZIP, DOCKER_LAYER_GZIP})

_PIECE_BYTES = 1024 * 1024

# Layers of programs and libraries shrink to a half or a fifth, text to a tenth. Only zeros shrink
# to a hundredth or less: gzip shrinks them to a thousandth, zstd to a ten-thousandth.
_MAX_RATIO = 100
_ALWAYS_ALLOWED_BYTES = 256 * 1024 * 1024
# The highest default level of zstd's own command line needs 8 MiB.
_ZSTD_WINDOW_LOG = 26


def max_unpacked_bytes(media_type: str, packed_bytes: int) -> int:
    """Return how many bytes a layer of this size may decompress to."""
    if media_type in PLAIN_TYPES:
        return packed_bytes
    return _ALWAYS_ALLOWED_BYTES + _MAX_RATIO * packed_bytes


def can_unpack(media_type: str) -> bool:
    """Return whether this machine can decompress layers of a media type."""
    if media_type == LAYER_ZSTD:
        return _zstd() is not None
    return media_type in PLAIN_TYPES | _GZIP_TYPES


def unpacked(media_type: str, chunks: Iterable[Bytes], max_bytes: int) -> Iterator[Bytes]:
    """Yield a layer's tar: in pieces of bounded size, or the chunks if they are not compressed.

    A yielded view is valid until the next one. ``max_bytes`` does not apply to chunks that are not
    compressed: their size is the blob's.

    Raises:
        UntrustedError: the bytes do not have the media type, end early, or decompress to more than
            ``max_bytes``; or the media type cannot be decompressed here.
    """
    if media_type in PLAIN_TYPES:
        return iter(chunks)
    if media_type in _GZIP_TYPES:
        return decompressed(chunks, "gz", max_bytes)
    module = _zstd() if media_type == LAYER_ZSTD else None
    if module is None:
        raise UntrustedError(f"its media type {shown(media_type)} is not supported here")
    return _frames(slices(chunks), module, max_bytes)


class _Zstd:
    """One zstd frame."""

    def __init__(self, module: Any) -> None:
        limits = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._state = module.ZstdDecompressor(options=limits)
        self._error: type[Exception] = module.ZstdError

    @property
    def eof(self) -> bool:
        return bool(self._state.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._state.unused_data)

    def pieces(self, data: Bytes) -> Iterator[bytes]:
        try:
            yield self._state.decompress(data, _PIECE_BYTES)
            while not self._state.eof and not self._state.needs_input:
                yield self._state.decompress(b"", _PIECE_BYTES)
        except self._error as error:
            raise UntrustedError("it is not zstd, or its window is too large") from error


def _frames(chunks: Iterable[Bytes], module: Any, max_bytes: int) -> Iterator[bytes]:
    """Decompress consecutive frames, as parallel compressors write them."""
    left_bytes = max_bytes
    frame: _Zstd | None = _Zstd(module)
    for chunk in chunks:
        left = bytes(chunk)
        while left:
            frame = frame or _Zstd(module)
            for piece in frame.pieces(left):
                left_bytes -= len(piece)
                if left_bytes < 0:
                    raise UntrustedError(f"it decompresses to more than {max_bytes} bytes")
                yield piece
            left = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise UntrustedError("its compressed data ends early")


def _zstd() -> Any:
    """Return Python's zstd module, which exists since 3.14, or the backport of it, or None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
