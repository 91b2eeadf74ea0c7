"""Jobs run side by side, in their order and a bounded number of threads, until one fails."""

import signal
import subprocess
import sys
import threading

import pytest

from mealkit.jobs import Stop, StoppedError, side_by_side


def test_results_come_in_the_order_of_the_items():
    """Whichever job ends first."""
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            first_may_end.wait()
        else:
            first_may_end.set()
        return item * 10

    assert side_by_side(work, [0, 1, 2], threads=2, stop=Stop()) == [0, 10, 20]


def test_no_more_threads_than_are_allowed():
    """However many items there are."""
    names = set()

    def work(_item: int) -> None:
        names.add(threading.get_ident())

    side_by_side(work, range(50), threads=3, stop=Stop())
    assert len(names) <= 3


def test_nothing_to_do_is_done():
    """No items, no results."""
    assert side_by_side(str, [], threads=4, stop=Stop()) == []


def test_the_first_failure_ends_the_others():
    """Its own error is raised, those that wait never begin, and those that run end."""
    stop = Stop()
    running, begun, told = threading.Event(), [], []
    advance = stop.guarded(told.append)

    def work(item: str) -> None:
        begun.append(item)
        if item == "long":
            running.set()
            while True:
                advance(1)
        running.wait()
        raise ValueError(item)

    with pytest.raises(ValueError, match="fails"):
        side_by_side(work, ["long", "fails", *["late"] * 100], threads=2, stop=stop)
    assert begun == ["long", "fails"]
    heard = len(told)
    with pytest.raises(StoppedError):
        advance(1)
    assert len(told) == heard


def test_one_thread_at_a_time_tells_of_progress():
    """Sums come out right without a lock of the listener's own."""
    total = 0

    def add(count: int) -> None:
        nonlocal total
        before = total
        total = before + count

    stop = Stop()
    advance = stop.guarded(add)
    side_by_side(lambda _: [advance(1) for _ in range(1000)], range(8), threads=8, stop=stop)
    assert total == 8000


_ENDLESS = """
import signal
# As in a terminal: a shell lets what it starts in the background ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from mealkit.jobs import Stop, side_by_side
stop = Stop()
def work(item):
    if not item:
        print("ready", flush=True)
    while True:
        stop.check()
try:
    side_by_side(work, [0, 1, 2, 3], threads=2, stop=stop)
except KeyboardInterrupt:
    print("given up", flush=True)
"""


def test_ctrl_c_ends_what_runs():
    """The jobs are endless: the program ends all the same."""
    process = subprocess.Popen([sys.executable, "-c", _ENDLESS], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "given up\n"
