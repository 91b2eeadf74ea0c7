"""A queue in order of arrival, for models or code that handle a limited number of requests.

Standard library only.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from mealkit.worker.interface import IsCancelled, never, require_waiting

# Seconds between two checks whether the caller of a waiting request is still connected.
_LOOK_SECONDS = 0.1


class RequestQueue:
    """A lock for ``limit`` holders, which waiting threads get in order of arrival.

    A plain lock goes to any thread that runs when it is free. A large request would then overtake
    the small ones that wait between its parts.
    """

    def __init__(self, limit: int = 1) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._inside = 0

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return len(self._waiting)

    @contextmanager
    def entered(self, is_cancelled: IsCancelled) -> Iterator[None]:
        """Wait for a slot, and keep it until the end of the block.

        Raises:
            Cancelled: the caller disconnected before.
        """
        self._enter(is_cancelled)
        try:
            yield
        finally:
            self._leave()

    def __enter__(self) -> None:
        self._enter(never)

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _enter(self, is_cancelled: IsCancelled) -> None:
        with self._lock:
            if self._inside < self._limit and not self._waiting:
                self._inside += 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            while not turn.acquire(timeout=-1 if is_cancelled is never else _LOOK_SECONDS):
                require_waiting(is_cancelled)
            # The caller may have disconnected since the last check.
            require_waiting(is_cancelled)
        except BaseException:
            self._give_up(turn)
            raise

    def _leave(self) -> None:
        """Pass the slot to the next request, or free it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._inside -= 1

    def _give_up(self, turn: threading.Lock) -> None:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        # This thread has already got the slot.
        self._leave()
