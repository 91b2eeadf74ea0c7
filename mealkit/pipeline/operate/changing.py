"""Does the steps of a change of a deployment, and goes back by itself if one of them fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mealkit.containers.container import Container, Restart
from mealkit.deploy.deployment import (
    Change,
    Deployment,
    Gate,
    GateResult,
    State,
    Step,
    TestedClaim,
    Verb,
)
from mealkit.deploy.deployment_history import Event, EventKind
from mealkit.deploy.upgrade import done, is_undone, stopped, surplus
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import MealkitError, Owner, Problem, failure, failures, problem
from mealkit.names import one_line
from mealkit.pipeline.deployment_files import DeploymentFiles, user_name
from mealkit.pipeline.operate.revision_containers import (
    Ground,
    Started,
    await_ready,
    containers_of,
    remove,
    start,
    stop,
    target_of,
)
from mealkit.pipeline.operate.revision_watch import Baseline, baseline_of, watch
from mealkit.runtime.gateway.keys import KeyHash

_GATES = {
    Step.AWAIT_NEW: Gate.READINESS,
    Step.TEST_NEW: Gate.CLAIMS,
    Step.MOVE: Gate.TRAFFIC,
    Step.WATCH: Gate.WATCH,
    Step.RETIRE_OLD: Gate.TRAFFIC,
}
_REASON_CHARACTERS = 1000

Tested = tuple[tuple[TestedClaim, ...], GateResult]
Tester = Callable[[Started], Tested]
"""Tests a revision that has no traffic yet."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a change is made."""

    timeout_seconds: float = 600.0
    watch: WatchLimits = field(default_factory=WatchLimits)
    tester: Tester | None = None
    test_key: KeyHash | None = None
    reason: str = ""
    stop_reason: str | None = None
    """Why the old revision has to stop before the new one starts."""


class Changing:
    """Makes one change. The deployment's file always has the step that is being done."""

    def __init__(self, ground: Ground, files: DeploymentFiles, options: Options) -> None:
        """``options`` are those of the command."""
        self._ground = ground
        self._files = files
        self._options = options
        self._started: Started | None = None
        self._baseline: Baseline | None = None

    def run(self, deployment: Deployment) -> Deployment:
        """Do the steps until the change has ended; return the deployment.

        Raises:
            DeploymentError: ``DEPLOYMENT_GATE``, a gate stopped the change, and the traffic is
                where it was; ``DEPLOYMENT_DOWN``, a repair, or the way back, failed as well. The
                problems that the gate found follow.
        """
        failed: tuple[GateResult, tuple[Problem, ...]] | None = None
        begun = deployment.change
        while (change := deployment.change) is not None:
            self._files.write(deployment)
            problems: tuple[Problem, ...] = ()
            try:
                deployment, result = self._do(change, deployment)
            except (MealkitError, KeyboardInterrupt) as error:
                problems = error.problems if isinstance(error, MealkitError) else ()
                if is_undone(deployment) or change.verb in {Verb.REPAIR, Verb.DOWN}:
                    raise self._stuck(deployment, error) from error
                result = _result_of(change.step, problems)
            if result is not None and change.new is not None:
                deployment = deployment.with_revision(
                    deployment.revision(change.new).with_gate(result)
                )
            if result is None or result.passed:
                deployment = done(deployment)
            else:
                failed = (result, problems)
                self._tell_failed(deployment, result)
                deployment = stopped(deployment)
        deployment = self._without_surplus(deployment)
        self._files.write(deployment)
        if failed is not None and begun is not None:
            self._note_failed(deployment, begun, failed[0])
            raise _gate_failure(deployment, begun, *failed)
        return deployment

    def note(self, kind: EventKind, deployment: Deployment, number: int | None) -> None:
        """Append an event about a revision to the history."""
        self._append(kind, deployment, number, self._options.reason, None)

    def _do(self, change: Change, deployment: Deployment) -> tuple[Deployment, GateResult | None]:
        new, old = change.new, change.old
        match change.step:
            case Step.STOP_OLD:
                self._stop_first(deployment, old)
            case Step.START_NEW:
                self._start(deployment, new)
            case Step.AWAIT_NEW:
                return deployment, self._await(deployment, new)
            case Step.TEST_NEW:
                return self._test(deployment, new)
            case Step.MOVE:
                self._move(deployment, change)
            case Step.WATCH:
                return deployment, self._watch(deployment, new)
            case _:
                self._settle(change, deployment)
        return deployment, None

    def _settle(self, change: Change, deployment: Deployment) -> None:
        """Do a step after the traffic has moved, or one of the way back."""
        old = change.old
        match change.step:
            case Step.RETIRE_OLD if old is not None:
                stop(deployment.name, old, self._ground)
            case Step.REVIVE_OLD if old is not None:
                self._revive(deployment, change, old)
            case Step.MOVE_BACK:
                self._move_back(deployment, old)
            case Step.DISCARD_NEW if change.new is not None:
                self._discard(deployment, change, change.new)
            case Step.TAKE_DOWN:
                self._take_down(deployment)
            case _:  # there is no revision to do it to
                return

    def _move_back(self, deployment: Deployment, old: int | None) -> None:
        container = self._running(deployment, old)
        self._ground.front.ensure()
        self._ground.front.route(target_of(container) if container else None)

    def _discard(self, deployment: Deployment, change: Change, new: int) -> None:
        stop(deployment.name, new, self._ground)
        if change.verb is Verb.UP:
            remove(deployment.name, new, self._ground)
        if change.old is None:  # an address at which nothing answers helps no caller
            self._ground.front.remove()

    def _stop_first(self, deployment: Deployment, old: int | None) -> None:
        if old is None:
            return
        why = one_line(self._options.stop_reason or "")
        self._ground.progress.phase(
            f"stopping revision {old} first, callers wait or get 503: {why}"
        )
        self._append(EventKind.STOPPED_FIRST, deployment, old, why[:_REASON_CHARACTERS], None)
        self._ground.front.route(None)
        stop(deployment.name, old, self._ground)

    def _start(self, deployment: Deployment, new: int | None) -> None:
        if new is None:
            return
        self._ground.front.ensure()
        revision = deployment.revision(new)
        self._started = start(deployment, revision, self._ground, self._options.test_key)

    def _await(self, deployment: Deployment, new: int | None) -> GateResult | None:
        if self._started is None:
            return None
        began = time.monotonic()
        seconds = self._options.timeout_seconds
        await_ready(self._started, seconds, self._ground)
        took = time.monotonic() - began
        self._ground.progress.phase(f"revision {new} of {deployment.name} is ready")
        return GateResult(
            gate=Gate.READINESS,
            passed=True,
            reason="it answered a real request",
            measured=f"{took:.1f} s",
            required=f"at most {seconds:.0f} s",
        )

    def _test(
        self, deployment: Deployment, new: int | None
    ) -> tuple[Deployment, GateResult | None]:
        tester = self._options.tester
        if tester is None or self._started is None or new is None:
            return deployment, None
        claims, result = tester(self._started)
        revision = deployment.revision(new).model_copy(update={"tested": claims})
        return deployment.with_revision(revision), result

    def _move(self, deployment: Deployment, change: Change) -> None:
        new = self._running(deployment, change.new)
        if new is None:
            message = f"revision {change.new} has ended before the traffic moved"
            raise failure("CONTAINER_FAILED", message)
        # Also one that stopped first: the front has counted what it answered.
        old = containers_of(deployment.name, self._ground).get(change.old or 0)
        self._ground.front.ensure()
        if old is not None:
            self._baseline = baseline_of(old, new, self._ground)
        self._ground.front.route(target_of(new))
        # Not before: a revision that ends while it starts must not be started again and again.
        self._ground.client.set_restart(new.name, Restart(deployment.restart))
        self._ground.progress.phase(f"the traffic of {deployment.name} goes to {new.name}")
        self.note(EventKind.MOVED, deployment, change.new)

    def _watch(self, deployment: Deployment, new: int | None) -> GateResult | None:
        container = self._running(deployment, new)
        limits, baseline = self._options.watch, self._baseline
        if container is None or baseline is None or not limits.seconds:
            return None
        return watch(container, baseline, limits, self._ground)

    def _revive(self, deployment: Deployment, change: Change, old: int) -> None:
        """Start the revision that had the traffic again, if it does not run."""
        if self._running(deployment, old) is not None:
            return
        self._ground.front.ensure()
        if change.stops_first and change.new is not None:
            self._ground.front.route(None)
            stop(deployment.name, change.new, self._ground)
        started = start(deployment, deployment.revision(old), self._ground)
        await_ready(started, self._options.timeout_seconds, self._ground)
        self._ground.client.set_restart(started.container.name, Restart(deployment.restart))

    def _take_down(self, deployment: Deployment) -> None:
        front = self._ground.front
        front.ensure()
        front.route(None)
        for number in containers_of(deployment.name, self._ground):
            stop(deployment.name, number, self._ground)
            remove(deployment.name, number, self._ground)
        front.remove()

    def _running(self, deployment: Deployment, number: int | None) -> Container | None:
        if number is None:
            return None
        found = containers_of(deployment.name, self._ground).get(number)
        return found if found and found.exit is None else None

    def _without_surplus(self, deployment: Deployment) -> Deployment:
        """Remove the oldest kept revisions, if there are too many."""
        for number in surplus(deployment):
            remove(deployment.name, number, self._ground)
            deployment = deployment.with_state(number, State.REMOVED)
        return deployment

    def _tell_failed(self, deployment: Deployment, result: GateResult) -> None:
        back = f"revision {deployment.change.old}" if deployment.change else "before"
        self._ground.progress.phase(f"gate {result.gate}: {result.reason}; going back to {back}")

    def _note_failed(self, deployment: Deployment, begun: Change, result: GateResult) -> None:
        kind = EventKind.FAILED if deployment.serving is None else EventKind.ROLLED_BACK
        self._append(kind, deployment, begun.new, result.reason, result)

    def _append(
        self,
        kind: EventKind,
        deployment: Deployment,
        number: int | None,
        reason: str,
        gate: GateResult | None,
    ) -> None:
        event = Event(seconds=time.time(), user=user_name(), kind=kind, reason=reason, gate=gate)
        if number is not None:
            revision = deployment.revision(number)
            about = {"kit": revision.kit, "image": revision.image, "recipe": revision.recipe}
            event = event.model_copy(update={"revision": number, **about})
        self._files.append(event)

    def _stuck(self, deployment: Deployment, error: BaseException) -> BaseException:
        """Return the error after a repair or the way back failed; the next command tries again."""
        if not isinstance(error, MealkitError):
            return error
        self._files.write(deployment)
        first = problem(
            "DEPLOYMENT_DOWN",
            f"{deployment.name}: {one_line(error.problems[0].message)}",
            hint=f"correct it, then: mealkit status {deployment.name}, which tries again",
        )
        return failures([first, *error.problems])


def _result_of(step: Step, problems: tuple[Problem, ...]) -> GateResult:
    """Return the gate that a step's error stopped."""
    if not problems:
        return GateResult(
            gate=Gate.INTERRUPTION,
            passed=False,
            reason="the command was interrupted",
            owner=Owner.CALLER,
        )
    first = problems[0]
    return GateResult(
        gate=_GATES.get(step, Gate.START),
        passed=False,
        reason=_shortened(first.message),
        code=first.code,
        measured=first.measured and _shortened(first.measured),
        required=first.required and _shortened(first.required),
        owner=first.owner,
    )


def _gate_failure(
    deployment: Deployment, begun: Change, result: GateResult, problems: tuple[Problem, ...]
) -> MealkitError:
    serving = deployment.serving
    state = (
        "no revision has the traffic" if serving is None else f"revision {serving} has the traffic"
    )
    made = problem(
        "DEPLOYMENT_GATE",
        f"revision {begun.new} of {deployment.name} did not pass the gate {result.gate}:"
        f" {result.reason}; {state}",
        measured=result.measured,
        required=result.required,
        hint=f"mealkit history {deployment.name}",
    )
    return failures([replace(made, owner=result.owner or made.owner), *problems])


def _shortened(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _REASON_CHARACTERS else f"{line[:_REASON_CHARACTERS]}..."
