"""One at a time, in order of arrival: how requests share a model that does one thing at once.

Standard library only.
"""

import threading
from collections import deque


class Turns:
    """A lock that is handed on in the order in which it was asked for.

    A plain lock goes to whoever comes by when it is free, so that a large request overtakes the
    small ones that wait between its parts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        turn = threading.Lock()
        turn.acquire()
        with self._lock:
            self._queue.append(turn)
            if len(self._queue) == 1:
                return
        turn.acquire()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._queue.popleft()
            if self._queue:
                self._queue[0].release()
