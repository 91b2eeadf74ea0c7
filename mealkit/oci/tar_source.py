"""Sources of a tar: a stream of chunks, or a file in which data can be skipped."""

import io
from collections.abc import Iterator
from typing import BinaryIO, Protocol

Bytes = bytes | memoryview

_PIECE_BYTES = 1024 * 1024


class Source(Protocol):
    """A tar to read, from its start to its end."""

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end."""
        ...

    def skip(self, size: int) -> None:
        """Skip bytes; if the tar ends before, the next ``take`` notices."""
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
        """Skip bytes."""
        for _ in self.pieces(size):
            pass

    def pieces(self, size: int) -> Iterator[Bytes]:
        """Yield the next ``size`` bytes in pieces; fewer at the end."""
        while size:
            if not self._held:
                chunk = next(self._chunks, None)  # an empty chunk is not the end
                if chunk is None:
                    return
                self._held = memoryview(chunk)
                continue
            piece = self._held[:size]
            self._held = self._held[len(piece) :]
            size -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read the rest."""
        self._held = b""
        for _ in self._chunks:
            pass


class FileSource:
    """Reads a file from its current position; skipped data is not read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def position(self) -> int:
        """The current position in the file."""
        return self._file.tell()

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end."""
        return self._file.read(size)

    def skip(self, size: int) -> None:
        """Skip bytes."""
        self._file.seek(size, io.SEEK_CUR)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next ``size`` bytes in pieces; fewer at the end."""
        while size and (piece := self._file.read(min(size, _PIECE_BYTES))):
            size -= len(piece)
            yield piece
