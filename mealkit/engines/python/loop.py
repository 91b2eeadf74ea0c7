"""Runs the coroutines of the author's code on one event loop, in a separate thread.

A request's thread waits for its coroutine, and cancels it when the caller disconnects. Imports only
the standard library.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any

from mealkit.worker.interface import Cancelled, IsCancelled

# How often a waiting thread checks whether its caller is still connected.
_LOOK_SECONDS = 0.1

_END = object()


class LoopThread:
    """Runs coroutines for other threads, all on the same loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Callable[[], Awaitable[Any]], is_cancelled: IsCancelled) -> Any:
        """Await the result of ``work``; if the caller disconnects, cancel it and wait for its end.

        Raises:
            Cancelled: the caller has disconnected.
            BaseException: the exception that it raised.
        """
        running = _Running(self._loop, work)
        while not running.wait(_LOOK_SECONDS):
            if is_cancelled():
                running.cancel()
                raise Cancelled
        return running.outcome.result()

    def pieces(
        self, work: Callable[[], AsyncIterator[Any]], is_cancelled: IsCancelled
    ) -> Iterator[Any]:
        """Yield the items of an asynchronous iterator; close it when this one is closed.

        It runs in one task from start to end, at most one item ahead of the reader.
        """
        queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)

        async def pump() -> None:
            iterator = work()
            try:
                async for piece in iterator:
                    await queue.put(piece)
            finally:
                close = getattr(iterator, "aclose", None)
                if close is not None:
                    await close()

        pumping = _Running(self._loop, pump)
        try:
            while True:
                piece = self.run(lambda: _next(queue, pumping), is_cancelled)
                if piece is _END:
                    break
                yield piece
        finally:
            pumping.cancel()
        pumping.outcome.result()


class _Running:
    """A coroutine on the loop; its end can be awaited even after it was cancelled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[Any]]) -> None:
        self.outcome: Future[Any] = Future()
        self.ended = asyncio.Event()
        self._loop = loop
        self._task: asyncio.Task[_Outcome] | None = None
        loop.call_soon_threadsafe(self._start, work)

    def wait(self, seconds: float) -> bool:
        """Wait up to this long for the end; return whether it has ended."""
        return bool(wait([self.outcome], seconds).done)

    def cancel(self) -> None:
        """Cancel it, unless it has ended, and wait for its end."""
        self._loop.call_soon_threadsafe(self._cancel)
        wait([self.outcome])

    def _start(self, work: Callable[[], Awaitable[Any]]) -> None:
        self._task = self._loop.create_task(_outcome_of(work))
        # Not in the coroutine itself: a task that is cancelled before its first step never runs.
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: "asyncio.Task[_Outcome]") -> None:
        self.ended.set()
        if task.cancelled():
            self.outcome.set_exception(asyncio.CancelledError())
            return
        result, error = task.result()
        if error is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


_Outcome = tuple[Any, BaseException | None]


async def _outcome_of(work: Callable[[], Awaitable[Any]]) -> _Outcome:
    try:
        return await work(), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the loop for all
        return None, error


async def _next(queue: "asyncio.Queue[Any]", pumping: _Running) -> Any:
    """Return the next piece, or _END after the last one."""
    taking = asyncio.ensure_future(queue.get())
    ending = asyncio.ensure_future(pumping.ended.wait())
    try:
        await asyncio.wait({taking, ending}, return_when=asyncio.FIRST_COMPLETED)
        return taking.result() if taking.done() else _END
    finally:
        taking.cancel()
        ending.cancel()
