"""Limits of concurrent work: requests at the engine, requests in the queue, bytes of bodies.

Raises RequestError (429) beyond the limits. The queue is fair between callers: callers take turns,
and the requests of one caller run in order of arrival. If the queue is full, the caller with the
most requests loses its newest one to a caller with fewer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mealkit.errors import failure

# The memory limit for all bodies, in bodies of the maximum size.
_LARGEST_BODIES = 8
# A body that takes longer to arrive is dropped if other requests need its memory.
_SLOW_SECONDS = 2.0

_T = TypeVar("_T")


class FairQueue:
    """The requests at the engine, and those in the queue, fair between callers."""

    def __init__(self, most_running: int, most_waiting: int, changed: Callable[[], None]) -> None:
        """Begin empty; ``changed`` is called whenever a request begins, ends or waits."""
        self._most_running = most_running
        self._most_waiting = most_waiting
        self._changed = changed
        # By caller, in the order in which callers are served.
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        # By caller: how many requests run or wait.
        self._places: dict[str, int] = {}
        self.running = 0
        """The number of requests at the engine."""
        self.waiting = 0
        """The number of requests in the queue."""

    async def take(self, caller: str, gone: Callable[[], Awaitable[object]]) -> bool:
        """Wait for a slot, and take it; False if ``gone`` ends first. Free it with ``end``.

        Raises:
            RequestError: ``REQUEST_BUSY``, the queue is full, or became full and other callers have
                fewer requests in it.
        """
        if self.running < self._most_running and not self.waiting:
            self.running += 1
            self._places[caller] = self._places.get(caller, 0) + 1
            self._changed()
            return True
        if self.waiting >= self._most_waiting:
            self._make_room(caller)
        turn = self._stand_in_line(caller)
        leaving: asyncio.Future[object] = asyncio.ensure_future(gone())
        either: set[asyncio.Future[Any]] = {turn, leaving}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if not turn.done():
                self._leave_line(caller, turn)
            elif turn.exception() is None:
                self.end(caller)
            raise
        finally:
            leaving.cancel()
        if not turn.done():
            self._leave_line(caller, turn)
            return False
        turn.result()
        return True

    def end(self, caller: str) -> None:
        """Free a caller's slot; the next request gets it immediately."""
        self.running -= 1
        self._leave_place(caller)
        self._serve_next()
        self._changed()

    def _make_room(self, caller: str) -> None:
        """Refuse the newest waiting request of the caller with the most requests.

        Raises:
            RequestError: ``REQUEST_BUSY``, no other caller has more requests than this one gets.
        """
        largest = max(self._lines, key=lambda item: self._places[item], default=caller)
        busy = failure(
            "REQUEST_BUSY",
            f"{self.running} requests are running, the limit is {self._most_running}, "
            f"and {self.waiting} wait, the limit is {self._most_waiting}",
        )
        if self._places.get(largest, 0) <= self._places.get(caller, 0) + 1:
            raise busy
        newest = self._lines[largest][-1]
        self._leave_line(largest, newest)
        newest.set_exception(busy)

    def _stand_in_line(self, caller: str) -> "asyncio.Future[None]":
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        self._places[caller] = self._places.get(caller, 0) + 1
        self.waiting += 1
        self._changed()
        return turn

    def _leave_line(self, caller: str, turn: "asyncio.Future[None]") -> None:
        self._lines[caller].remove(turn)
        if not self._lines[caller]:
            del self._lines[caller]
        self.waiting -= 1
        self._leave_place(caller)
        self._changed()

    def _leave_place(self, caller: str) -> None:
        left = self._places.pop(caller) - 1
        if left:
            self._places[caller] = left

    def _serve_next(self) -> None:
        while self._lines and self.running < self._most_running:
            caller = next(iter(self._lines))
            # To the end: all other callers come before this caller's next request.
            line = self._lines.pop(caller)
            turn = line.popleft()
            if line:
                self._lines[caller] = line
            self.waiting -= 1
            self.running += 1
            turn.set_result(None)


class HeldBytes:
    """The memory of callers' bodies, from the first byte to the end of the request."""

    def __init__(self, largest_bytes: int) -> None:
        """Allow a few bodies of the maximum size at the same time."""
        self._limit_bytes = _LARGEST_BODIES * largest_bytes
        # The bodies that are still arriving, oldest first.
        self._coming: dict[Held, float] = {}
        # All bodies, oldest first, and the bytes of each caller.
        self._bodies: dict[Held, None] = {}
        self._by_caller: dict[str, int] = {}
        self.held_bytes = 0
        """The number of bytes in memory."""

    def allow(self, largest_bytes: int) -> None:
        """Change the maximum size of a body."""
        self._limit_bytes = _LARGEST_BODIES * largest_bytes

    @contextmanager
    def held(self, caller: str = "") -> Iterator["Held"]:
        """Yield a counter for one body's bytes; they are released at the end of the block.

        Raises:
            RequestError: ``REQUEST_BUSY``, the limit is reached, or the body arrived slowly, or its
                caller has many, and other requests needed its memory.
        """
        own = Held(self, caller)
        self._bodies[own] = None
        self._coming[own] = asyncio.get_running_loop().time()
        try:
            yield own
        finally:
            own.keep(0)
            del self._bodies[own]

    def make_room(self, own: "Held", size_bytes: int) -> None:
        """Drop other bodies until more bytes of one body fit.

        Raises:
            RequestError: ``REQUEST_BUSY``, no other body may be dropped for this one.
        """
        while self.held_bytes + size_bytes > self._limit_bytes:
            if slowest := self._slow_body(own):
                slowest.give_up("the body arrived slowly, and other requests needed its memory")
            elif newest := self._body_of_the_largest(own, size_bytes):
                newest.give_up("the caller's bodies are large, and others needed their memory")
            else:
                raise failure(
                    "REQUEST_BUSY",
                    f"bodies of {self.held_bytes} bytes are being read or waiting, "
                    f"the limit is {self._limit_bytes}",
                )

    def count(self, caller: str, size_bytes: int) -> None:
        """Count bytes for a caller; a negative number releases them."""
        self.held_bytes += size_bytes
        left = self._by_caller.pop(caller, 0) + size_bytes
        if left:
            self._by_caller[caller] = left

    def _slow_body(self, own: "Held") -> "Held | None":
        slowest, began = next(iter(self._coming.items()), (own, 0.0))
        is_slow = asyncio.get_running_loop().time() - began >= _SLOW_SECONDS
        return slowest if slowest is not own and is_slow else None

    def _body_of_the_largest(self, own: "Held", size_bytes: int) -> "Held | None":
        """Return the newest body of the caller with the most bytes, if another has fewer."""
        largest = max(self._by_caller, key=self._by_caller.__getitem__, default=own.caller)
        if self._by_caller.get(largest, 0) <= self._by_caller.get(own.caller, 0) + size_bytes:
            return None
        bodies = (body for body in reversed(self._bodies) if body.caller == largest)
        return next((body for body in bodies if body.may_be_dropped), None)

    def came(self, own: "Held") -> None:
        """Record that a body has arrived in full."""
        self._coming.pop(own, None)


class Held:
    """The memory of one body."""

    def __init__(self, all_of_them: HeldBytes, caller: str) -> None:
        self._all = all_of_them
        self.caller = caller
        """Whose body it is."""
        self._bytes = 0
        self._waiting: asyncio.Task[Any] | None = None
        self._given_up = ""

    @property
    def may_be_dropped(self) -> bool:
        """Whether the body uses memory, and its request is not at the engine yet."""
        return bool(self._bytes and self._waiting)

    async def unless_needed(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Wait for the body, or for a slot, unless other requests need its memory first.

        Raises:
            RequestError: ``REQUEST_BUSY``, other requests needed it; or the errors of ``work``.
        """
        # Not asyncio.timeout: it would take a third of the time in which a small body is read.
        self._waiting = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError as error:
            if not self._given_up or (self._waiting and self._waiting.uncancel()):
                raise
            raise failure("REQUEST_BUSY", self._given_up) from error
        finally:
            self._waiting = None
            self._all.came(self)

    def add(self, size_bytes: int) -> None:
        """Count more bytes.

        Raises:
            RequestError: ``REQUEST_BUSY``, the limit is reached.
        """
        self._all.make_room(self, size_bytes)
        self._all.count(self.caller, size_bytes)
        self._bytes += size_bytes

    def keep(self, size_bytes: int) -> None:
        """Set the number of bytes; a larger number is accepted even beyond the limit."""
        self._all.came(self)
        self._all.count(self.caller, size_bytes - self._bytes)
        self._bytes = size_bytes

    def give_up(self, reason: str) -> None:
        """Drop a body that is still arriving, or waits for a slot."""
        self.keep(0)
        if self._waiting is not None:
            self._given_up = reason
            self._waiting.cancel()
