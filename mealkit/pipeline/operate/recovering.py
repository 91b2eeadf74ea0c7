"""Makes a deployment whole again after a kill, a restart of the machine, or a lost container."""

from dataclasses import replace

from mealkit.deploy.deployment import Deployment, Gate, GateResult, State, Verb, container_name
from mealkit.deploy.deployment_history import EventKind
from mealkit.deploy.upgrade import begun, is_undone, needs_repair, resumed
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import MealkitError, Owner
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.operate.changing import Changing, Options
from mealkit.pipeline.operate.revision_containers import (
    Ground,
    containers_of,
    remove,
    seen,
    target_of,
)

_READY_SECONDS = 600.0


def whole(deployment: Deployment, ground: Ground, files: DeploymentFiles) -> Deployment:
    """Finish or undo a change that was interrupted, and start what should run and does not.

    Call it with the deployment locked.

    Raises:
        DeploymentError: ``DEPLOYMENT_DOWN``, the revision that had the traffic does not start.
    """
    changing = Changing(ground, files, Options(_READY_SECONDS, replace(WatchLimits(), seconds=0)))
    change = deployment.change
    if change is not None:
        ground.progress.phase(f"{deployment.name}: {change.verb} was interrupted at {change.step}")
        deployment = resumed(deployment, seen(deployment.name, ground))
        undone = is_undone(deployment)
        if undone and change.new is not None:
            interrupted = deployment.revision(change.new).with_gate(_interruption(change.step))
            deployment = deployment.with_revision(interrupted)
        deployment = changing.run(deployment)
        kind = EventKind.ROLLED_BACK if undone else EventKind.FINISHED
        changing.note(kind, deployment, change.new)
    if needs_repair(deployment, seen(deployment.name, ground)):
        number = deployment.serving
        assert number is not None  # noqa: S101  for mypy: needs_repair has checked it
        name = container_name(deployment.name, number)
        ground.progress.phase(f"{name} does not run; starting it again")
        deployment = changing.run(begun(deployment, Verb.REPAIR, number, stops_first=False))
        changing.note(EventKind.REPAIRED, deployment, number)
    elif deployment.serving is not None:
        _route(deployment, deployment.serving, ground)
    return deployment


def is_whole(deployment: Deployment, ground: Ground) -> bool:
    """Return whether no change was interrupted, and the right revision runs and has the traffic."""
    serving = deployment.serving
    container = containers_of(deployment.name, ground).get(serving or 0)
    if deployment.change is not None or serving is None or container is None:
        return False
    if container.exit is not None:
        return False
    try:
        return ground.front.is_serving(target_of(container))
    except MealkitError:  # the front has to be started
        return False


def _route(deployment: Deployment, serving: int, ground: Ground) -> None:
    """Start a front that was lost, and send the requests to the revision that has the traffic."""
    container = containers_of(deployment.name, ground).get(serving)
    ground.front.ensure()
    if container is not None and not ground.front.is_serving(target_of(container)):
        ground.front.route(target_of(container))


def whole_or_abandoned(
    deployment: Deployment, ground: Ground, files: DeploymentFiles
) -> Deployment:
    """Make a deployment whole; if that fails, give up what is in the way of a new change."""
    try:
        return whole(deployment, ground, files)
    except MealkitError as error:
        for item in error.problems:
            ground.progress.notice(item)
    stuck = files.read() or deployment
    new = stuck.change.new if stuck.change else None
    if new is not None and new != stuck.serving:
        remove(stuck.name, new, ground)
        stuck = stuck.with_state(new, State.FAILED)
    stuck = stuck.with_change(None)
    files.write(stuck)
    return stuck


def _interruption(step: str) -> GateResult:
    return GateResult(
        gate=Gate.INTERRUPTION,
        passed=False,
        reason=f"the command ended at the step {step}, before the traffic moved",
        owner=Owner.CALLER,
    )
