"""Jobs that run side by side, in a bounded number of threads.

The first that fails ends the others, and so does Ctrl-C: those that wait never begin, and those
that run end where they next ask. One thread at a time tells of progress.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class StoppedError(Exception):
    """Another job failed, or the user gave up; what this one does is of no use any more."""


class Stop:
    """Tells running jobs that they are not wanted any more."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()

    def set(self) -> None:
        """End the jobs; once this returns, none of them tells of progress any more."""
        with self._lock:
            self._event.set()

    def check(self) -> None:
        """End this job if it is not wanted any more.

        Raises:
            StoppedError: it is not.
        """
        if self._event.is_set():
            raise StoppedError

    def guarded(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        """Return an ``advance`` that jobs may call side by side; it ends those that are stopped."""

        def advance_in_turn(done_bytes: int) -> None:
            with self._lock:
                self.check()
                advance(done_bytes)

        return advance_in_turn


def side_by_side(
    work: Callable[[_Item], _Result], items: Sequence[_Item], *, threads: int, stop: Stop
) -> list[_Result]:
    """Return what the work gives for every item, in their order.

    Raises:
        Exception: what the first job to fail raises.
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
