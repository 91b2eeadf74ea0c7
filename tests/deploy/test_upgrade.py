"""The steps of a change: what follows what, and where an interrupted one goes on."""

import itertools

import pytest

from mealkit.deploy.deployment import (
    MAX_KEPT,
    Change,
    Deployment,
    Revision,
    Settings,
    State,
    Step,
    Verb,
)
from mealkit.deploy.upgrade import (
    Seen,
    begun,
    done,
    is_undone,
    needs_repair,
    resumed,
    stopped,
    surplus,
    taken_down,
    way_back,
)


def revision(number: int, state: State = State.STARTING) -> Revision:
    return Revision(
        number=number,
        reference="kit",
        settings=Settings(),
        user="cook",
        created_seconds=number,
        state=state,
    )


def deployment(*states: State, serving: int | None = None) -> Deployment:
    found = Deployment(name="web", id="0" * 16, address="127.0.0.1", port=8000, client="docker")
    for number, state in enumerate(states, 1):
        found = found.with_revision(revision(number, state))
    return found.with_serving(serving)


UPGRADED = deployment(State.SERVING, State.STARTING, serving=1)


def steps_of(found: Deployment) -> tuple[list[Step], Deployment]:
    """Do every step of a change, and return them."""
    steps = []
    while found.change is not None:
        steps.append(found.change.step)
        found = done(found)
    return steps, found


@pytest.mark.parametrize(
    ("before", "verb", "new", "stops_first", "expected"),
    [
        pytest.param(
            deployment(State.STARTING),
            Verb.UP,
            1,
            False,
            "start-new await-new test-new move retire-old",
            id="first",
        ),
        pytest.param(
            UPGRADED,
            Verb.UP,
            2,
            False,
            "start-new await-new test-new move watch retire-old",
            id="upgrade",
        ),
        pytest.param(
            UPGRADED,
            Verb.UP,
            2,
            True,
            "stop-old start-new await-new test-new move watch retire-old",
            id="stops first",
        ),
        pytest.param(
            deployment(State.KEPT, State.SERVING, serving=2),
            Verb.ROLLBACK,
            1,
            False,
            "start-new await-new move retire-old",
            id="rollback",
        ),
        pytest.param(
            deployment(State.SERVING, serving=1),
            Verb.REPAIR,
            1,
            False,
            "start-new await-new move retire-old",
            id="repair",
        ),
    ],
)
def test_a_change_does_its_steps_in_order(before, verb, new, stops_first, expected):
    """A change ends with one revision that has the traffic, and the one before kept."""
    steps, after = steps_of(begun(before, verb, new, stops_first=stops_first))
    assert " ".join(steps) == expected
    assert after.serving == new
    assert [item.number for item in after.in_state(State.SERVING)] == [new]
    if before.serving not in {None, new}:
        assert after.revision(before.serving).state is State.KEPT


@pytest.mark.parametrize("stops_first", [False, True])
@pytest.mark.parametrize("verb", [Verb.UP, Verb.ROLLBACK])
def test_a_gate_that_fails_at_any_step_gives_the_traffic_back(verb, stops_first):
    """The revision before has the traffic again, and the new one is failed, or kept as it was."""
    found = begun(UPGRADED, verb, 2, stops_first=stops_first)
    while found.change is not None:
        steps, after = steps_of(stopped(found))
        assert steps == [Step.REVIVE_OLD, Step.MOVE_BACK, Step.DISCARD_NEW]
        assert after.serving == 1
        assert after.revision(1).state is State.SERVING
        assert after.revision(2).state is (State.FAILED if verb is Verb.UP else State.KEPT)
        found = done(found)


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("step", [step for step in Step if step is not Step.TAKE_DOWN])
def test_an_interrupted_change_is_finished_only_after_the_traffic_moved(step, runs):
    """A change that had moved the traffic to a revision that runs is finished; others are undone."""
    change = Change(verb=Verb.UP, step=step, new=2, old=1)
    found = resumed(UPGRADED.with_change(change), Seen(frozenset({1, 2} if runs else {1})))
    is_finished = runs and step in {Step.MOVE, Step.WATCH, Step.RETIRE_OLD}
    assert is_undone(found) is not is_finished
    _, after = steps_of(found)
    assert after.serving == (2 if is_finished else 1)


def test_every_interruption_of_an_interruption_ends_whole():
    """However often a change is interrupted, exactly one revision has the traffic at its end."""
    for cuts in itertools.product(range(5), repeat=3):
        found = begun(UPGRADED, Verb.UP, 2, stops_first=False)
        for cut in cuts:
            for _ in range(cut):
                found = done(found) if found.change else found
            found = resumed(found, Seen(frozenset({1, 2})))
        _, after = steps_of(found)
        assert [item.number for item in after.in_state(State.SERVING)] == [after.serving]


def test_taking_down_removes_every_revision_and_ends():
    """After it no revision has the traffic; failed ones stay failed in the history."""
    before = deployment(State.FAILED, State.KEPT, State.SERVING, serving=3)
    _, after = steps_of(taken_down(before))
    assert after.serving is None
    assert [item.state for item in after.revisions] == [
        State.FAILED,
        State.REMOVED,
        State.REMOVED,
    ]


def test_the_way_back_is_the_revision_that_had_the_traffic_before():
    """It is the last one that served and is kept, not the one with the highest number."""
    found = deployment(State.SERVING, State.STARTING, State.STARTING, serving=1)
    _, found = steps_of(begun(found, Verb.UP, 2, stops_first=False))
    _, found = steps_of(begun(found, Verb.UP, 3, stops_first=False))
    assert way_back(found) == 2
    _, found = steps_of(begun(found, Verb.ROLLBACK, 1, stops_first=False))
    assert way_back(found) == 3


def test_only_a_serving_revision_that_does_not_run_needs_repair():
    """A deployment that is down, or in the middle of a change, needs none."""
    serving = deployment(State.SERVING, serving=1)
    assert needs_repair(serving, Seen(frozenset()))
    assert not needs_repair(serving, Seen(frozenset({1})))
    assert not needs_repair(deployment(State.REMOVED), Seen(frozenset()))
    changing = begun(UPGRADED, Verb.UP, 2, stops_first=False)
    assert not needs_repair(changing, Seen(frozenset()))


def test_the_oldest_kept_revisions_are_too_many():
    """As many as `MAX_KEPT` stay for the way back."""
    states = [State.KEPT] * (MAX_KEPT + 2)
    assert surplus(deployment(*states, State.SERVING, serving=len(states) + 1)) == (1, 2)
