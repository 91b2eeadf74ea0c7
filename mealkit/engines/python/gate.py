"""At most so many at once, in order of arrival, and nobody waits for a caller who has gone.

Standard library only.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from mealkit.worker.interface import IsCancelled, require_waiting

# How often those who wait look whether their caller is still there.
_LOOK_SECONDS = 0.1


class Gate:
    """Lets ``limit`` requests in at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._inside = 0

    @contextmanager
    def entered(self, is_cancelled: IsCancelled) -> Iterator[None]:
        """Wait for one's turn, and hold it.

        Raises:
            Cancelled: the caller went away before.
        """
        self._enter(is_cancelled)
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def _enter(self, is_cancelled: IsCancelled) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._inside >= self._limit or self._waiting[0] is not ticket:
                    self._changed.wait(_LOOK_SECONDS)
                    require_waiting(is_cancelled)
                self._inside += 1
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
