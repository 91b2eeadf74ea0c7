"""The state machine: legal moves, reasons, seconds of phases, the last problem."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.errors import problem
from mealkit.runtime.state import Lifecycle, Status

START = (
    Status.PREFLIGHT,
    Status.VERIFYING,
    Status.LOADING,
    Status.WARMING,
    Status.READY,
)


def ticking():
    ticks = itertools.count(100.0)
    return lambda: next(ticks)


def test_start_to_ready():
    """The way to ready leads through every phase, and listeners hear of each."""
    lifecycle = Lifecycle(lambda: 0.0)
    heard = []
    lifecycle.listeners.append(lambda snapshot: heard.append(snapshot.status))
    for status in START:
        assert not lifecycle.is_ready
        lifecycle.move(status, "on its way")
    assert lifecycle.is_ready
    assert tuple(heard) == START


@pytest.mark.parametrize("status", [Status.VERIFYING, Status.LOADING, Status.WARMING, Status.READY])
def test_no_side_door(status):
    """A phase cannot be left out."""
    with pytest.raises(ValueError, match="cannot go from starting"):
        Lifecycle(lambda: 0.0).move(status, "too early")


@given(st.lists(st.sampled_from(Status), max_size=30))
def test_ready_only_after_warming(moves):
    """However the machine is pushed, it is ready only right after a real request was answered."""
    lifecycle = Lifecycle(lambda: 0.0)
    before = lifecycle.status
    for status in moves:
        try:
            lifecycle.move(status, "pushed")
        except ValueError:
            assert lifecycle.status is before
            continue
        assert lifecycle.status is not Status.READY or before is Status.WARMING
        assert before is not Status.FAILED
        before = lifecycle.status


def test_problem_is_kept_until_ready():
    """The last problem stays while a worker is started again, and goes once the kit is ready."""
    lifecycle = Lifecycle(lambda: 0.0)
    for status in START:
        lifecycle.move(status, "on its way")
    fault = problem("ENGINE_DIED", "gone")
    lifecycle.move(Status.LOADING, "gone", fault)
    lifecycle.note("loads again")
    body = lifecycle.snapshot().as_json()
    assert (body["status"], body["reason"], body["owner"]) == (
        "loading",
        "loads again",
        "kit-author",
    )
    assert body["problem"] == fault.as_json()
    lifecycle.move(Status.WARMING, "again")
    lifecycle.move(Status.READY, "again")
    assert lifecycle.snapshot().problem is None


def test_seconds():
    """Phases that overlap are each counted in full; a running one counts up to now."""
    lifecycle = Lifecycle(ticking())  # 100
    lifecycle.begin("loading")  # 101
    lifecycle.begin("verifying")  # 102
    assert lifecycle.end("verifying") == 1.0  # 103
    snapshot = lifecycle.snapshot()  # 104
    assert snapshot.phases == {"verifying": 1.0, "loading": 3.0}
    assert snapshot.elapsed_seconds == 4.0
    assert lifecycle.end("loading") == 4.0
    assert lifecycle.end("never begun") == 0.0
