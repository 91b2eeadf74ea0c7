"""Limits the gateway's connections: their number, idle time, and data that callers do not read.

Above the maximum number, the connection is closed whose request has been arriving longest, or that
has been idle longest. Data that a caller does not read is buffered for a limited time, and all
buffers together have a size limit.
"""

import asyncio
import resource
from collections.abc import Callable
from itertools import islice
from typing import Protocol

# Descriptors for sockets to the worker, pipes and files.
_OTHER_FILES = 128

_LOOK_SECONDS = 1.0
_MOMENT_SECONDS = 1.0
# A body that arrives more slowly is ended; the number is Apache's (mod_reqtimeout).
_BODY_BYTES_PER_SECOND = 500


class AcceptedConnection(Protocol):
    """The methods of a connection that the limits need."""

    def unsent_bytes(self) -> int:
        """Return how many written bytes the caller has not read."""
        ...

    def end(self) -> None:
        """Close the connection after sending the written data."""
        ...

    def drop(self) -> None:
        """Close the connection immediately, and drop unsent data."""
        ...


class AcceptedConnections:
    """All connections of one gateway."""

    def __init__(
        self,
        limit: int,
        *,
        idle_seconds: float = 75.0,
        head_seconds: float = 30.0,
        body_seconds: float = 20.0,
        stall_seconds: float = 30.0,
        unsent_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """Begin without connections.

        ``idle_seconds`` is longer than common load balancers wait, so that the caller closes
        first. A request's head has ``head_seconds``; its body has ``body_seconds``, and more time
        as data arrives. A caller who reads nothing has ``stall_seconds``, or less while all unread
        data together exceeds ``unsent_bytes``.
        """
        self.limit = limit
        self._idle_seconds, self._head_seconds = idle_seconds, head_seconds
        self._body_seconds = body_seconds
        self._stall_seconds, self._unsent_bytes = stall_seconds, unsent_bytes
        # Each connection with the time at which it entered the state, oldest first.
        self._idle: dict[AcceptedConnection, float] = {}
        self._heads: dict[AcceptedConnection, float] = {}
        # With the number of received bytes of the body.
        self._bodies: dict[AcceptedConnection, tuple[float, int]] = {}
        self._busy: set[AcceptedConnection] = set()
        self._unsent: dict[AcceptedConnection, tuple[int, float]] = {}
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._idle) + len(self._heads) + len(self._bodies) + len(self._busy)

    @property
    def unfinished(self) -> int:
        """The number of connections with a request that arrives, or an answer that is not read."""
        return len(self._busy | self._bodies.keys() | self._heads.keys() | self._unsent.keys())

    def opened(self, connection: AcceptedConnection) -> None:
        """Add a connection; above the limit close another one, or the new one if all are busy."""
        now = self._clock()
        oldest = self._oldest(now) if len(self) >= self.limit else None
        self._idle[connection] = now
        if len(self) > self.limit:
            oldest = oldest or connection
            # Now: its end is reported later, and the next call must not choose it again.
            self._forget(oldest)
            oldest.drop()
        self._look_soon()

    def closed(self, connection: AcceptedConnection) -> None:
        """Remove a connection."""
        self._forget(connection)
        self._unsent.pop(connection, None)

    def began_head(self, connection: AcceptedConnection) -> None:
        """Record that a part of a request's head has arrived."""
        if connection in self._idle:
            del self._idle[connection]
            self._heads[connection] = self._clock()

    def began_request(self, connection: AcceptedConnection) -> None:
        """Record that a request is being answered."""
        self._forget(connection)
        self._busy.add(connection)

    def began_body(self, connection: AcceptedConnection) -> None:
        """Record that a request's body is arriving."""
        self._forget(connection)
        self._bodies[connection] = (self._clock(), 0)

    def more_body(self, connection: AcceptedConnection, size_bytes: int) -> None:
        """Count received bytes of a body."""
        if connection in self._bodies:
            since, before_bytes = self._bodies[connection]
            self._bodies[connection] = (since, before_bytes + size_bytes)

    def answered(self, connection: AcceptedConnection) -> None:
        """Record that the answer is written, whether the caller has read it or not."""
        if connection in self._busy or connection in self._bodies:
            self._forget(connection)
            self._idle[connection] = self._clock()

    def wrote(self, connection: AcceptedConnection) -> None:
        """Record that a caller has not read all of the written data."""
        self._unsent.setdefault(connection, (connection.unsent_bytes(), self._clock()))

    def look(self) -> None:
        """Close the connections that have been silent for too long."""
        now = self._clock()
        for late, seconds in ((self._idle, self._idle_seconds), (self._heads, self._head_seconds)):
            while late and now - next(iter(late.values())) > seconds:
                connection = next(iter(late))
                del late[connection]
                # While an answer is being read, the limit for unread data applies.
                if connection in self._unsent:
                    late[connection] = now
                else:
                    connection.end()
        self._look_at_bodies(now)
        self._look_at_unsent(now)

    def _oldest(self, now: float) -> AcceptedConnection | None:
        """Return the least useful connection; a new one has a moment to send its request."""
        firsts = [
            *((since, found) for found, since in islice(self._heads.items(), 1)),
            *((since, found) for found, since in islice(self._idle.items(), 1)),
            *((since, found) for found, (since, _) in islice(self._bodies.items(), 1)),
        ]
        late = (found for since, found in firsts if now - since >= _MOMENT_SECONDS)
        return next(late, firsts[0][1] if firsts else None)

    def _look_at_bodies(self, now: float) -> None:
        for connection, (since, size_bytes) in list(self._bodies.items()):
            allowed_seconds = self._body_seconds + size_bytes / _BODY_BYTES_PER_SECOND
            if now - since > allowed_seconds:
                del self._bodies[connection]
                connection.end()

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

    def _forget(self, connection: AcceptedConnection) -> None:
        self._idle.pop(connection, None)
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)
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
    """Return how many connections the process may have open; raise its limit if necessary."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > soft:
        soft = wanted + _OTHER_FILES if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - _OTHER_FILES))
