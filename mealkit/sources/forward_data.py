"""Data that is read once, from its beginning: a file's own bytes, or what is compressed in them.

Unpacking is charged to a budget, which all data in one file shares. Raises UnseenError if the
budget is used up.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mealkit.sources.ranges import RangeReader

_PIECE_BYTES = 256 * 1024
_LZMA_BYTES = 128 * 1024 * 1024


class UnseenError(Exception):
    """A part of a file cannot be looked into; the message says which, and why."""


@dataclass(slots=True)
class Budget:
    """What may still be unpacked and opened of one file."""

    unpacked_bytes: int = 512 * 1024 * 1024
    members: int = 20_000
    held_bytes: int = 64 * 1024 * 1024
    """The largest archive inside something else, which is held in memory."""

    def unpack(self, size_bytes: int) -> None:
        """Charge bytes that were unpacked.

        Raises:
            UnseenError: there are more than a check unpacks.
        """
        self.unpacked_bytes -= size_bytes
        if self.unpacked_bytes < 0:
            raise UnseenError("has more in it than a check unpacks")

    def open(self) -> None:
        """Charge one member of an archive.

        Raises:
            UnseenError: there are more than a check opens.
        """
        self.members -= 1
        if self.members < 0:
            raise UnseenError("has more files in it than a check opens")


class RangesForward:
    """The bytes of a file that can be read in pieces."""

    def __init__(self, ranges: RangeReader) -> None:
        self._ranges = ranges
        self._at = 0

    def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only at the end."""
        data = self._ranges.read(self._at, length)
        self._at += len(data)
        return data

    def skip(self, length: int) -> bool:
        """Pass over bytes; return whether there were as many."""
        self._at += length
        return self._at <= self._ranges.size_bytes


class PiecesForward:
    """Bytes that come in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only at the end."""
        parts: list[bytes] = []
        while length > 0 and (part := self._next(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def skip(self, length: int) -> bool:
        """Pass over bytes; return whether there were as many."""
        while length > 0 and (part := self._next(length)):
            length -= len(part)
        return length <= 0

    def _next(self, length: int) -> bytes:
        """Return at most so many of the next bytes; nothing at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = piece
        part, self._held = self._held[:length], self._held[length:]
        return part


class _Zlib:
    """zlib's unpacker, which keeps what it has not taken in another place than the others."""

    def __init__(self, window: int) -> None:
        self._inner = zlib.decompressobj(window)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_AnyUnpacker = _Zlib | bz2.BZ2Decompressor | lzma.LZMADecompressor
_KINDS: tuple[tuple[bytes, Callable[[], _AnyUnpacker]], ...] = (
    (b"\x1f\x8b", lambda: _Zlib(31)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_BYTES)),
    (b"\x5d\0\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_BYTES)),
    (b"\x78\x01", lambda: _Zlib(15)),
    (b"\x78\x5e", lambda: _Zlib(15)),
    (b"\x78\x9c", lambda: _Zlib(15)),
    (b"\x78\xda", lambda: _Zlib(15)),
)
_BROKEN = (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError)


def unpacker_for(head: bytes) -> Callable[[], _AnyUnpacker] | None:
    """Return what unpacks data that begins like this; None if it is not compressed."""
    return next((make for magic, make in _KINDS if head.startswith(magic)), None)


def unpacked(data: RangesForward | PiecesForward, head: bytes, budget: Budget) -> PiecesForward:
    """Return what is compressed in data that begins with ``head``, up to the first damage.

    Several streams one after the other are one, as for the programs that unpack them.
    """
    make = unpacker_for(head)
    return PiecesForward(_pieces(data, make, budget) if make else iter(()))


def _pieces(
    data: RangesForward | PiecesForward, make: Callable[[], _AnyUnpacker], budget: Budget
) -> Iterator[bytes]:
    unpacker, waiting = make(), data.read(_PIECE_BYTES)
    while waiting or not unpacker.needs_input:
        piece = _unpack(unpacker, waiting)
        if piece is None:
            return
        budget.unpack(len(piece))
        if piece:
            yield piece
        if unpacker.eof:
            waiting = unpacker.unused_data or data.read(_PIECE_BYTES)
            unpacker = make()
        else:
            waiting = data.read(_PIECE_BYTES) if unpacker.needs_input else b""


def _unpack(unpacker: _AnyUnpacker, waiting: bytes) -> bytes | None:
    """Return the next piece, perhaps an empty one; None if the data is damaged.

    Raises:
        UnseenError: other programs could unpack it, with much memory.
    """
    try:
        return unpacker.decompress(waiting, _PIECE_BYTES)
    except _BROKEN as error:
        if "Memory usage limit" in str(error):  # liblzma's words
            raise UnseenError("needs too much memory to unpack") from error
        return None
