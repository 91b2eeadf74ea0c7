"""The steps of a change of a deployment, and what follows each of them. No I/O.

The step is written to the deployment's file before it is done, and every step can be done twice. So
after a kill the next command knows where the change was: before the traffic moved it undoes the
change, after that it finishes it.
"""

from dataclasses import dataclass

from mealkit.deploy.deployment import (
    MAX_KEPT,
    Change,
    Deployment,
    State,
    Step,
    Verb,
)

_FOLLOWING = {
    Step.STOP_OLD: Step.START_NEW,
    Step.START_NEW: Step.AWAIT_NEW,
    Step.AWAIT_NEW: Step.TEST_NEW,
    Step.TEST_NEW: Step.MOVE,
    Step.MOVE: Step.WATCH,
    Step.WATCH: Step.RETIRE_OLD,
    Step.RETIRE_OLD: None,
    Step.REVIVE_OLD: Step.MOVE_BACK,
    Step.MOVE_BACK: Step.DISCARD_NEW,
    Step.DISCARD_NEW: None,
    Step.TAKE_DOWN: None,
}
_BACK = frozenset({Step.REVIVE_OLD, Step.MOVE_BACK, Step.DISCARD_NEW})
_AFTER_THE_MOVE = frozenset({Step.MOVE, Step.WATCH, Step.RETIRE_OLD})


@dataclass(frozen=True, slots=True)
class Seen:
    """What runs: the numbers of the revisions whose containers run."""

    running: frozenset[int]


def begun(deployment: Deployment, verb: Verb, new: int, *, stops_first: bool) -> Deployment:
    """Return the deployment at the first step of a change to a revision."""
    old = deployment.serving if deployment.serving != new else None
    first = Step.STOP_OLD if stops_first and old is not None else Step.START_NEW
    change = Change(verb=verb, step=first, new=new, old=old, stops_first=stops_first)
    return deployment.with_state(new, State.STARTING).with_change(change)


def taken_down(deployment: Deployment) -> Deployment:
    """Return the deployment at the only step of its end."""
    return deployment.with_change(Change(verb=Verb.DOWN, step=Step.TAKE_DOWN))


def done(deployment: Deployment) -> Deployment:
    """Return the deployment after its change's step has been done, at the next step."""
    change = _change_of(deployment)
    moved = _with_effect(deployment, change)
    following = _FOLLOWING[change.step]
    if following is Step.TEST_NEW and change.verb is not Verb.UP:
        following = Step.MOVE
    if following is Step.WATCH and (change.old is None or change.verb is not Verb.UP):
        following = Step.RETIRE_OLD
    if following is None:
        return moved.with_change(None)
    return moved.with_change(change.model_copy(update={"step": following}))


def stopped(deployment: Deployment) -> Deployment:
    """Return the deployment after a gate stopped its change: at the first step of the way back."""
    change = _change_of(deployment)
    return deployment.with_change(change.model_copy(update={"step": Step.REVIVE_OLD}))


def resumed(deployment: Deployment, seen: Seen) -> Deployment:
    """Return the deployment at the step with which an interrupted change goes on.

    A change that had moved the traffic has passed its gates, so it is finished, as long as the new
    revision still runs. Any other is undone.
    """
    change = deployment.change
    if change is None or change.verb is Verb.DOWN:
        return deployment
    if change.step in _AFTER_THE_MOVE and change.new in seen.running:
        step = Step.MOVE
    elif change.verb is Verb.REPAIR:
        step = Step.START_NEW
    else:
        step = Step.REVIVE_OLD
    return deployment.with_change(change.model_copy(update={"step": step}))


def is_undone(deployment: Deployment) -> bool:
    """Return whether a deployment's change is on its way back."""
    change = deployment.change
    return change is not None and change.step in _BACK


def needs_repair(deployment: Deployment, seen: Seen) -> bool:
    """Return whether the revision that should have the traffic does not run."""
    serving = deployment.serving
    return deployment.change is None and serving is not None and serving not in seen.running


def surplus(deployment: Deployment) -> tuple[int, ...]:
    """Return the numbers of kept revisions that are too many, the oldest first."""
    kept = [item.number for item in deployment.in_state(State.KEPT)]
    return tuple(kept[:-MAX_KEPT])


def way_back(deployment: Deployment) -> int | None:
    """Return the kept revision that had the traffic last; None: there is none."""
    kept = {item.number for item in deployment.in_state(State.KEPT)}
    return next((number for number in reversed(deployment.served) if number in kept), None)


def _with_effect(deployment: Deployment, change: Change) -> Deployment:
    """Return the deployment with the states that follow from a step."""
    if change.step in _BACK | {Step.TAKE_DOWN}:
        return _with_effect_back(deployment, change)
    new, old = change.new, change.old
    match change.step:
        case Step.STOP_OLD if old is not None:
            return deployment.with_serving(None).with_state(old, State.KEPT)
        case Step.AWAIT_NEW if new is not None:
            return deployment.with_state(new, State.READY)
        case Step.MOVE if new is not None:
            before = deployment if old is None else deployment.with_state(old, State.READY)
            return before.with_serving(new)
        case Step.RETIRE_OLD if old is not None:
            return deployment.with_state(old, State.KEPT)
    return deployment


def _with_effect_back(deployment: Deployment, change: Change) -> Deployment:
    if change.step is Step.TAKE_DOWN:
        return _all_removed(deployment).with_serving(None)
    if change.step is Step.MOVE_BACK:
        return deployment.with_serving(change.old)
    if change.step is Step.DISCARD_NEW and change.new is not None:
        state = State.FAILED if change.verb is Verb.UP else State.KEPT
        return deployment.with_state(change.new, state)
    return deployment


def _all_removed(deployment: Deployment) -> Deployment:
    for item in deployment.revisions:
        if item.state not in {State.FAILED, State.REMOVED}:
            deployment = deployment.with_state(item.number, State.REMOVED)
    return deployment


def _change_of(deployment: Deployment) -> Change:
    if deployment.change is None:
        raise AssertionError("the deployment has no change")
    return deployment.change
