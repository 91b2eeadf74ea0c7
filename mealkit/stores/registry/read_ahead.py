"""Reads a large blob on several connections, and yields its bytes in their order.

One connection rarely fills a fast network: registries and their storage limit each. Where one does,
as on this machine, several cost more than they gain, so the first piece decides. The blob is cut
into pieces. The next few are read at once into memory, so that the reader can hash and write bytes
in order, and what is on disk is always a beginning, which a later command continues. All blobs of a
command share the connections and the memory.
"""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from mealkit.jobs import Stop
from mealkit.stores.registry.blob import RegistryBlob, UnrangedError
from mealkit.stores.registry.client import RegistryClient

PIECE_BYTES = 3 * 1024 * 1024
FAST_BYTES_PER_SECOND = 200e6
"""From this rate on, one connection is enough: a core hashes and writes little more."""
_CONNECTIONS = 4
# Those that are being read or wait for their turn: a whole pull stays well below 100 MiB.
_PIECES = _CONNECTIONS


class ReadAhead:
    """Connections and memory for reading ahead; the caller closes it."""

    def __init__(
        self,
        piece_bytes: int = PIECE_BYTES,
        fast_bytes_per_second: float = FAST_BYTES_PER_SECOND,
    ) -> None:
        """Cut blobs into pieces of ``piece_bytes``, unless the first one arrives fast."""
        self.piece_bytes = piece_bytes
        self.fast_bytes_per_second = fast_bytes_per_second
        self.room = threading.Semaphore(_PIECES)
        self.pool = ThreadPoolExecutor(_CONNECTIONS, "read-ahead")

    def close(self) -> None:
        """End the connections' threads; what they still read is dropped."""
        self.pool.shutdown(cancel_futures=True)

    def is_large(self, size_bytes: int) -> bool:
        """Return whether that many bytes are read in pieces."""
        return size_bytes >= 2 * self.piece_bytes

    def chunks(
        self, blob: RegistryBlob, start: int, end: int, used: set[RegistryClient]
    ) -> Generator[bytes, None, None]:
        """Yield a range of a blob in order, several pieces at once if the server has ranges.

        The bytes are not hashed; ``used`` gets the clients that sent some.

        Raises:
            RegistryError, StoreError: as ``RegistryBlob.chunks`` does.
        """
        if not self.is_large(end - start) or blob.first.is_unranged:
            yield from blob.unhashed(start, end, used)
            return
        # The first answer says whether the server has ranges; else it has everything.
        first = _Timed(blob.unhashed(start, start + self.piece_bytes, used, else_to=end))
        for chunk in first:
            start += len(chunk)
            yield chunk
        if first.bytes_per_second >= self.fast_bytes_per_second:
            yield from blob.unhashed(start, end, used)
            return
        reading = _Reading(self, blob, start, end, used)
        try:
            yield from reading.chunks()
        except UnrangedError:
            yield from blob.unhashed(reading.yielded_to, end, used)
        finally:
            reading.stop()


class _Timed:
    """Chunks, and how fast they arrived; what their reader does with them is not counted."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._size_bytes = 0
        self._seconds = 0.0

    @property
    def bytes_per_second(self) -> float:
        return self._size_bytes / max(self._seconds, 1e-9)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        began = time.perf_counter()
        chunk = next(self._chunks)
        self._seconds += time.perf_counter() - began
        self._size_bytes += len(chunk)
        return chunk


class _Reading:
    """The pieces of one blob that are being read, or were and wait for their turn."""

    def __init__(
        self, ahead: ReadAhead, blob: RegistryBlob, start: int, end: int, used: set[RegistryClient]
    ) -> None:
        self.yielded_to = start
        self._ahead = ahead
        self._blob = blob
        self._next, self._end = start, end
        self._used = used
        self._pieces: deque[Future[list[bytes]]] = deque()
        self._stop = Stop()

    def chunks(self) -> Generator[bytes, None, None]:
        while self.yielded_to < self._end:
            self._begin()
            if not self._pieces:  # other blobs have all the room: read one without it
                for chunk in self._blob.unhashed(*self._cut(), self._used, is_piece=True):
                    self.yielded_to += len(chunk)
                    yield chunk
                continue
            piece = self._pieces.popleft()
            try:
                for chunk in piece.result():
                    self.yielded_to += len(chunk)
                    yield chunk
            finally:
                self._ahead.room.release()

    def stop(self) -> None:
        """End what is being read, and give its room back."""
        self._stop.set()
        for piece in self._pieces:
            piece.cancel()
            piece.add_done_callback(lambda _: self._ahead.room.release())
        self._pieces.clear()

    def _begin(self) -> None:
        while self._next < self._end and self._ahead.room.acquire(blocking=False):
            start, end = self._cut()
            self._pieces.append(self._ahead.pool.submit(self._read, start, end))

    def _cut(self) -> tuple[int, int]:
        start, self._next = self._next, min(self._next + self._ahead.piece_bytes, self._end)
        return start, self._next

    def _read(self, start: int, end: int) -> list[bytes]:
        chunks = []
        for chunk in self._blob.unhashed(start, end, self._used, is_piece=True):
            self._stop.check()
            chunks.append(chunk)
        return chunks
