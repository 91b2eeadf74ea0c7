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
_LZMA_DICTIONARY_BYTES = 64 * 1024 * 1024
_XZ = b"\xfd7zXZ\0"


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


class _OldJoblib(_Zlib):
    """zlib's unpacker after the head of joblib before 0.10: ZF, and a length of 19 characters.

    Source: joblib.numpy_pickle_compat.
    """

    def __init__(self) -> None:
        super().__init__(15)
        self._head = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if len(self._head) > _OLD_JOBLIB_BYTES:
            return super().decompress(data, max_length)
        self._head += data
        if len(self._head) <= _OLD_JOBLIB_BYTES:
            return b""
        # Some versions write a space after it.
        return super().decompress(self._head[_OLD_JOBLIB_BYTES:].removeprefix(b" "), max_length)


_OLD_JOBLIB_BYTES = 21


class _Lzma:
    """The unpacker of .xz and .lzma: a stream of the one may follow one of the other.

    Any numbers can be the head of a .lzma with a large dictionary, which takes memory before it is
    clear that they are none. It gets a smaller one: it unpacks as much as is looked at.
    """

    def __init__(self) -> None:
        self._inner = lzma.LZMADecompressor(memlimit=_LZMA_BYTES)
        self._is_first = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._is_first and not data.startswith(_XZ):
            size = min(int.from_bytes(data[1:5], "little"), _LZMA_DICTIONARY_BYTES)
            data = data[:1] + size.to_bytes(4, "little") + data[5:]
        self._is_first = False
        return self._inner.decompress(data, max_length)

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_AnyUnpacker = _Zlib | bz2.BZ2Decompressor | _Lzma
_KINDS: tuple[tuple[bytes, Callable[[], _AnyUnpacker]], ...] = (
    (b"\x1f\x8b", lambda: _Zlib(31)),
    (b"BZh", bz2.BZ2Decompressor),
    (_XZ, _Lzma),
    (b"ZF0x", _OldJoblib),
)
# liblzma takes no file whose dictionary has another size, or that is larger than this.
_LZMA_SIZES = {0, 2**32 - 1, *(2**n for n in range(32)), *(3 * 2**n for n in range(31))}
_LZMA_MOST_BYTES = 2**38
_ZLIB_DICTIONARY = 0x20
_BROKEN = (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError)


def unpacker_for(head: bytes) -> Callable[[], _AnyUnpacker] | None:
    """Return what unpacks data that begins like this; None if it is not compressed."""
    for magic, make in _KINDS:
        if head.startswith(magic):
            return make
    if _is_zlib(head):
        return lambda: _Zlib(15)
    if _is_old_lzma(head):
        return _Lzma
    return None


def _is_zlib(head: bytes) -> bool:
    """Return whether it begins as zlib's, with a window of any size: RFC 1950, section 2.2."""
    if len(head) < 2 or head[0] & 15 != 8 or head[0] >> 4 > 7:
        return False
    return not head[1] & _ZLIB_DICTIONARY and (head[0] * 256 + head[1]) % 31 == 0


def _is_old_lzma(head: bytes) -> bool:
    """Return whether it begins as .lzma does: liblzma's lzma-file-format.txt, section 1.1."""
    if len(head) < 14 or head[0] >= 9 * 5 * 5 or head[13] or not any(head[:14]):
        return False
    size_bytes = int.from_bytes(head[5:13], "little")
    is_size = size_bytes < _LZMA_MOST_BYTES or size_bytes == 2**64 - 1
    return is_size and int.from_bytes(head[1:5], "little") in _LZMA_SIZES


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
            waiting = unpacker.unused_data.lstrip(b"\0")  # gzip and xz pass over zeros
            while not waiting and (piece := data.read(_PIECE_BYTES)):
                waiting = piece.lstrip(b"\0")
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
