"""Accepts callers at the socket of a deployment, for as long as mealkit wants it.

A revision that is tested has a port of its own. When the traffic moves, mealkit passes it the
deployment's socket by the control socket, and takes it from the revision before. The kernel's queue
of new connections stays, because a process of mealkit has the socket open all the time.
"""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from mealkit.runtime.exchanges import Exchange, Outcome
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.http.accepted import AcceptedConnections
from mealkit.runtime.state import Snapshot, Status

_MOST_BYTES = 64
_ANSWER_SECONDS = 5.0
_TIMES = 1024

AcceptAt = Callable[[socket.socket], Awaitable[asyncio.Server]]


class SharedSocket:
    """The control socket of a revision, and the deployment's socket while it has it."""

    def __init__(
        self,
        control: int,
        accept_at: AcceptAt,
        connections: AcceptedConnections,
        service: Service,
    ) -> None:
        """Begin to obey; ``control`` is a listening Unix socket of mealkit."""
        self._control = socket.socket(fileno=control)
        self._control.setblocking(False)  # noqa: FBT003
        self._accept_at = accept_at
        self._connections = connections
        self._service = service
        self._shared: asyncio.Server | None = None
        self._left: float | None = None
        self._counts = _Counts()
        service.watchers = (*service.watchers, self._counts)
        service.lifecycle.listeners.append(self._note_move)
        self._serving = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Obey no more, and accept no more callers."""
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._leave()
        self._control.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            door, _ = await loop.sock_accept(self._control)
            with door, contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._obey(door)

    async def _obey(self, door: socket.socket) -> None:
        await _readable(door)
        order, passed, _, _ = socket.recv_fds(door, _MOST_BYTES, 1)
        for number in passed:
            # Else an engine that is started again inherits it; recv_fds ignores MSG_CMSG_CLOEXEC.
            os.set_inheritable(number, False)  # noqa: FBT003
        sockets = [socket.socket(fileno=number) for number in passed]
        if order == b"join" and sockets:
            await self._join(sockets.pop())
        elif order == b"leave":
            self._leave()
        for left in sockets:
            left.close()
        state = json.dumps(self._state()).encode()
        if order == b"lend" and self._shared:
            socket.send_fds(door, [state], [self._shared.sockets[0].fileno()])
        else:
            door.send(state)

    async def _join(self, shared: socket.socket) -> None:
        before, self._shared = self._shared, await self._accept_at(shared)
        if before is None:
            self._counts.clear()
        else:
            before.close()
        self._left, self._service.has_successor = None, False

    def _leave(self) -> None:
        if self._shared is None:
            return
        self._shared.close()
        self._shared, self._left = None, time.monotonic()
        self._service.has_successor = True

    def _note_move(self, moved: Snapshot) -> None:
        # Callers that come now wait for the next revision, or for this one's next start.
        if moved.status in {Status.DRAINING, Status.FAILED}:
            self._leave()

    def _state(self) -> dict[str, Any]:
        place = list(self._shared.sockets[0].getsockname()[:2]) if self._shared else None
        return {"place": place, "open": self._open(), **self._counts.as_json()}

    def _open(self) -> int:
        """Return how many requests are open, or may be on their way on a kept connection.

        A caller that keeps its connection is told with its next answer to close it. As long as a
        kit that stops answers new requests, it is waited for.
        """
        grace = self._service.lock.serving.lame_duck_seconds
        if self._left is not None and time.monotonic() - self._left < grace:
            return len(self._connections)
        return self._connections.unfinished


class _Counts:
    """What was answered since the revision got the socket."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._answers = [0, 0, 0, 0, 0]
        self._broken = 0
        self._first: deque[float] = deque(maxlen=_TIMES)
        self._whole: deque[float] = deque(maxlen=_TIMES)

    async def admit(self, exchange: Exchange) -> None:
        """Refuse nothing."""

    def ended(self, exchange: Exchange) -> None:
        """Count an answer."""
        if exchange.status >= 100:
            self._answers[min(exchange.status // 100, 5) - 1] += 1
        if exchange.outcome is Outcome.FAILED and exchange.status < 500:
            self._broken += 1  # a stream that ended with an error
        ended = exchange.ended_seconds
        if ended is not None and exchange.endpoint is not None:
            began = exchange.began_seconds
            self._whole.append(ended - began)
            self._first.append((exchange.first_seconds or ended) - began)

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and the means of the last times."""
        return {
            "answers": self._answers,
            "broken": self._broken,
            "first_seconds": sum(self._first) / max(1, len(self._first)),
            "whole_seconds": sum(self._whole) / max(1, len(self._whole)),
        }


async def _readable(door: socket.socket) -> None:
    """Wait for data; asyncio has no call that receives descriptors."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(door, arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(door)
