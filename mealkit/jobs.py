"""Runs jobs in parallel, in a bounded number of threads.

The first job that fails stops the others, and so does Ctrl-C: waiting jobs never start, and running
jobs end at their next `Stop.check`. Only one thread reports progress at a time.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class StoppedError(Exception):
    """Another job failed, or the user pressed Ctrl-C; this job's result is no longer needed."""


class Stop:
    """Signals running jobs to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()

    def set(self) -> None:
        """Stop the jobs; after this returns, none of them reports progress."""
        with self._lock:
            self._event.set()

    def check(self) -> None:
        """End this job if it has been stopped.

        Raises:
            StoppedError: the job has been stopped.
        """
        if self._event.is_set():
            raise StoppedError

    def guarded(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        """Return an ``advance`` for parallel jobs; it raises in jobs that were stopped."""

        def advance_in_turn(done_bytes: int) -> None:
            with self._lock:
                self.check()
                advance(done_bytes)

        return advance_in_turn


def side_by_side(
    work: Callable[[_Item], _Result], items: Sequence[_Item], *, threads: int, stop: Stop
) -> list[_Result]:
    """Return the results of ``work`` for all items, in their order.

    Raises:
        Exception: the exception of the first job that fails.
    """

    def job(item: _Item) -> _Result:
        stop.check()
        try:
            return work(item)
        except BaseException:
            stop.set()
            raise

    futures: list[Future[_Result]] = []
    with ThreadPoolExecutor(max(1, min(threads, len(items)))) as pool:
        try:
            for item in items:
                futures.append(pool.submit(job, item))  # noqa: PERF401  Ctrl-C may come in between
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if len(futures) < len(items) or not all(future.done() for future in futures):
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
    return _results(futures)


def _results(futures: Sequence[Future[_Result]]) -> list[_Result]:
    for future in futures:
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, StoppedError):
            raise error
    return [future.result() for future in futures]
