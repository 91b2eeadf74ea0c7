"""Coroutines of the author's code on a loop in a thread of its own."""

import asyncio
import threading

import pytest

from mealkit.engines.python.loop import LoopThread
from mealkit.worker.interface import Cancelled, never


@pytest.fixture(scope="module")
def loop():
    return LoopThread()


def test_a_result_and_an_error_come_back(loop):
    """Whatever is raised is raised here, and the loop goes on."""

    async def give(value):
        await asyncio.sleep(0)
        if isinstance(value, BaseException):
            raise value
        return value

    assert loop.run(lambda: give(3), never) == 3
    for error in (ValueError("x"), SystemExit(1), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            loop.run(lambda error=error: give(error), never)
    assert loop.run(lambda: give(4), never) == 4


def test_what_cannot_be_started_raises(loop):
    """A function that fails before its coroutine is made is no different."""
    with pytest.raises(ZeroDivisionError):
        loop.run(lambda: 1 // 0, never)


def test_all_coroutines_share_one_loop(loop):
    """The author's locks and clients are bound to one loop."""

    async def here():
        return asyncio.get_running_loop(), threading.get_ident()

    assert loop.run(here, never) == loop.run(here, never)
    assert loop.run(here, never)[1] != threading.get_ident()


def test_a_caller_that_goes_cancels_its_coroutine(loop):
    """Its end is waited for."""
    began, ended = threading.Event(), threading.Event()

    async def work():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    with pytest.raises(Cancelled):
        loop.run(work, began.is_set)
    assert ended.is_set()


def test_pieces_come_in_order_and_end(loop):
    """An error comes behind the pieces before it."""

    async def pieces(*, fails):
        for number in range(5):
            yield number
        if fails:
            raise ValueError("x")

    assert list(loop.pieces(lambda: pieces(fails=False), never)) == [0, 1, 2, 3, 4]
    found = []
    with pytest.raises(ValueError, match="x"):
        found.extend(loop.pieces(lambda: pieces(fails=True), never))
    assert found == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("reads", [0, 1, 3])
def test_a_reader_that_leaves_ends_the_code(loop, reads):
    """At most one piece ahead of the reader has been made, and its ``finally`` has run."""
    made, ended = [], threading.Event()

    async def pieces():
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            ended.set()

    given = loop.pieces(pieces, never)
    assert [next(given) for _ in range(reads)] == list(range(reads))
    given.close()
    assert ended.is_set() == bool(reads)
    assert len(made) <= reads + 2
