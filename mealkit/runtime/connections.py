"""The gateway's connections: how many, how long one may be silent, and callers who do not read.

Refuses to keep more than a number of them: the one that has been idle longest goes first. What a
caller does not fetch is held for a while only, and all of that together has a limit too.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Protocol

# Sockets to the worker, pipes, files.
_OTHER_FILES = 128

_LOOK_SECONDS = 1.0


class Connection(Protocol):
    """What is needed of a connection."""

    def unsent_bytes(self) -> int:
        """Return how much was written that the caller has not fetched."""
        ...

    def end(self) -> None:
        """Close it after what was written."""
        ...

    def drop(self) -> None:
        """Close it at once, whatever was written."""
        ...


class Connections:
    """All connections of one gateway."""

    def __init__(
        self,
        limit: int,
        *,
        idle_seconds: float = 75.0,
        head_seconds: float = 30.0,
        stall_seconds: float = 30.0,
        unsent_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """Begin with none.

        ``idle_seconds`` is longer than common load balancers wait: whoever closes first must be
        the caller. A request's head has ``head_seconds``; a caller who fetches nothing of what was
        written has ``stall_seconds``, less while all together hold more than ``unsent_bytes``.
        """
        self.limit = limit
        self._idle_seconds, self._head_seconds = idle_seconds, head_seconds
        self._stall_seconds, self._unsent_bytes = stall_seconds, unsent_bytes
        # Each with the time at which it got there, oldest first.
        self._idle: dict[Connection, float] = {}
        self._heads: dict[Connection, float] = {}
        self._busy: set[Connection] = set()
        self._unsent: dict[Connection, tuple[int, float]] = {}
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._idle) + len(self._heads) + len(self._busy)

    def opened(self, connection: Connection) -> None:
        """Take a new one; another one goes if there are too many, the new one if all are busy."""
        self._idle[connection] = self._clock()
        if len(self) > self.limit:
            oldest = next(iter(self._heads), None) or next(iter(self._idle))
            # At once: its end is told later, and the next one must not choose it again.
            self._forget(oldest)
            oldest.drop()
        self._look_soon()

    def closed(self, connection: Connection) -> None:
        """Forget one."""
        self._forget(connection)
        self._unsent.pop(connection, None)

    def began_head(self, connection: Connection) -> None:
        """Note that a part of a request's head is there."""
        if connection in self._idle:
            del self._idle[connection]
            self._heads[connection] = self._clock()

    def began_request(self, connection: Connection) -> None:
        """Note that a request is being answered."""
        self._forget(connection)
        self._busy.add(connection)

    def answered(self, connection: Connection) -> None:
        """Note that the answer is written, fetched or not."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._idle[connection] = self._clock()

    def wrote(self, connection: Connection) -> None:
        """Note that a caller has not fetched everything at once."""
        self._unsent.setdefault(connection, (connection.unsent_bytes(), self._clock()))

    def look(self) -> None:
        """End what has been silent for too long."""
        now = self._clock()
        for late, seconds in ((self._idle, self._idle_seconds), (self._heads, self._head_seconds)):
            while late and now - next(iter(late.values())) > seconds:
                connection = next(iter(late))
                del late[connection]
                # With an answer that is still being fetched it has its own limit.
                if connection in self._unsent:
                    late[connection] = now
                else:
                    connection.end()
        self._look_at_unsent(now)

    def _look_at_unsent(self, now: float) -> None:
        for connection, (before, since) in list(self._unsent.items()):
            unsent = connection.unsent_bytes()
            if not unsent:
                del self._unsent[connection]
            elif unsent < before:
                self._unsent[connection] = (unsent, now)
            elif now - since > self._stall_seconds:
                connection.drop()
        total_bytes = sum(unsent for unsent, _ in self._unsent.values())
        stalled = sorted(self._unsent.items(), key=lambda item: item[1][1])
        for connection, (unsent, since) in stalled:
            if total_bytes <= self._unsent_bytes or since == now:
                break
            connection.drop()
            total_bytes -= unsent

    def _forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)
        self._heads.pop(connection, None)
        self._busy.discard(connection)

    def _look_soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LOOK_SECONDS, self._look_regularly)

    def _look_regularly(self) -> None:
        self._timer = None
        self.look()
        if len(self):
            self._look_soon()


def possible_connections(wanted: int) -> int:
    """Return how many connections the process may have open, and raise its limit if need be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > soft:
        soft = wanted + _OTHER_FILES if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - _OTHER_FILES))
