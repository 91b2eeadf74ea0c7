"""Turns in order of arrival."""

import threading

from mealkit.worker.request_queue import Turns


def test_turns_are_taken_in_order():
    """Whoever waits first runs first, also before one who has just had a turn."""
    turns, order, threads = Turns(), [], []

    def take(name):
        with turns:
            order.append(name)

    with turns:
        for name in "abc":
            threads.append(threading.Thread(target=take, args=(name,)))
            threads[-1].start()
            while len(turns._queue) < len(threads) + 1:
                pass
    take("last")
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c", "last"]
