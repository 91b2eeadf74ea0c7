"""So many requests at once, in order of arrival: how they share a model or a paper's code.

Standard library only.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from mealkit.worker.interface import IsCancelled, never, require_waiting

# How often those who wait look whether their caller is still there.
_LOOK_SECONDS = 0.1


class RequestQueue:
    """A lock for ``limit`` holders, handed on in the order in which it was asked for.

    A plain lock goes to the thread that happens to run when it is free, so that a large request
    would overtake the small ones that wait between its parts.
    """

    def __init__(self, limit: int = 1) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._inside = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextmanager
    def entered(self, is_cancelled: IsCancelled) -> Iterator[None]:
        """Wait for a turn, and have it until the end of the block.

        Raises:
            Cancelled: the caller went away before.
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
            # The caller may have gone since the last look.
            require_waiting(is_cancelled)
        except BaseException:
            self._give_up(turn)
            raise

    def _leave(self) -> None:
        """Hand the turn to the next, or free it."""
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
        # It has come already.
        self._leave()
