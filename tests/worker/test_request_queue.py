"""The queue of requests: order of arrival, up to a limit at the same time, and cancelling."""

import threading

import pytest

from mealkit.worker.interface import Cancelled, never
from mealkit.worker.request_queue import RequestQueue


def started(action, queue, waiting):
    """Start a thread, and return it when this many wait in the queue."""
    thread = threading.Thread(target=action)
    thread.start()
    while queue.waiting < waiting:
        pass
    return thread


def test_turns_are_taken_in_order():
    """The request that came first runs first, also before one that has just had a turn."""
    queue, order, threads = RequestQueue(), [], []

    def take(name):
        with queue:
            order.append(name)

    with queue:
        for name in "abc":
            threads.append(started(lambda name=name: take(name), queue, len(threads) + 1))
    take("last")
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c", "last"]


def test_so_many_run_at_once():
    """Up to the limit no request waits; one more waits until another one ends."""
    queue, third = RequestQueue(2), threading.Event()

    def enter():
        with queue:
            third.set()

    with queue:
        with queue:
            thread = started(enter, queue, 1)
            assert not third.is_set()
        thread.join()
    assert third.is_set()


def test_a_caller_that_goes_makes_room_for_the_next():
    """The one who waits and goes gets no turn; those behind keep their order."""
    queue, gone, order = RequestQueue(), threading.Event(), []

    def wait_and_go():
        with pytest.raises(Cancelled), queue.entered(gone.is_set):
            order.append("gone")

    def take():
        with queue.entered(never):
            order.append("next")

    with queue:
        first = started(wait_and_go, queue, 1)
        second = started(take, queue, 2)
        gone.set()
        first.join()
        assert queue.waiting == 1
    second.join()
    with queue:
        order.append("last")
    assert order == ["next", "last"]


def test_a_turn_that_comes_too_late_is_handed_on():
    """A caller that goes between two looks does not run, and the next one does."""
    queue, order, gone = RequestQueue(), [], threading.Event()

    def late():
        with pytest.raises(Cancelled), queue.entered(gone.is_set):
            order.append("late")

    def take():
        with queue:
            order.append("next")

    with queue:
        threads = [started(late, queue, 1), started(take, queue, 2)]
        # Before its slot is free: the next check, or the slot itself, finds the caller disconnected.
        gone.set()
    for thread in threads:
        thread.join()
    assert order == ["next"]


def test_a_turn_that_fails_is_handed_on():
    """An error within a turn frees it."""
    queue = RequestQueue()
    for entered in (lambda: queue, lambda: queue.entered(never)):
        with pytest.raises(KeyError), entered():
            raise KeyError
    with queue:
        assert queue.waiting == 0
