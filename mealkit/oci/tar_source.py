"""Where a tar is read from: a stream of chunks, or a file whose data can be passed over."""

import io
from collections.abc import Iterator
from typing import BinaryIO, Protocol

Bytes = bytes | memoryview

_PIECE_BYTES = 1024 * 1024


class Source(Protocol):
    """Where a tar is read from, from its beginning to its end."""

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end."""
        ...

    def skip(self, size: int) -> None:
        """Pass over bytes; an end before is seen by the next ``take``."""
        ...

    def pieces(self, size: int) -> Iterator[Bytes]:
        """Yield the next ``size`` bytes in pieces; fewer at the end."""
        ...


class StreamSource:
    """Reads from an iterator of chunks; a yielded view is valid until the next one."""

    def __init__(self, chunks: Iterator[Bytes]) -> None:
        self._chunks = chunks
        self._held: Bytes = b""

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end."""
        return b"".join(bytes(piece) for piece in self.pieces(size))

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        for _ in self.pieces(size):
            pass

    def pieces(self, size: int) -> Iterator[Bytes]:
        """Yield the next ``size`` bytes in pieces; fewer at the end."""
        while size:
            if not self._held:
                chunk = next(self._chunks, None)  # an empty one is not the end
                if chunk is None:
                    return
                self._held = memoryview(chunk)
                continue
            piece = self._held[:size]
            self._held = self._held[len(piece) :]
            size -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what is left."""
        self._held = b""
        for _ in self._chunks:
            pass


class FileSource:
    """Reads from a file, from where it is; data that is passed over is not read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def position(self) -> int:
        """Where in the file it is."""
        return self._file.tell()

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end."""
        return self._file.read(size)

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        self._file.seek(size, io.SEEK_CUR)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next ``size`` bytes in pieces; fewer at the end."""
        while size and (piece := self._file.read(min(size, _PIECE_BYTES))):
            size -= len(piece)
            yield piece
