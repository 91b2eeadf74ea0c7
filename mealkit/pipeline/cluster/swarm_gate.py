"""The gate of claims in a Swarm: a candidate of the new revision is started and tested.

The candidate publishes no port. A job of the same image asks it over the deployment's network. Both
are removed, whatever the result is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mealkit.acceptance.report import CaseResult, ClaimResult, Report
from mealkit.clusters.swarm_services import create_service, remove_service, secret_for
from mealkit.clusters.swarm_tasks import task_output, tasks_of
from mealkit.deploy.swarm_service import (
    Attached,
    Revision,
    candidate_name,
    candidate_spec,
    job_name,
    job_spec,
)
from mealkit.deploy.workload import Workload
from mealkit.errors import MealkitError, Owner, Problem, problem
from mealkit.pipeline.cluster.swarm_watch import End, Watched, cause_of, wait_for, watch
from mealkit.pipeline.run.readiness import Trust
from mealkit.progress import Progress
from mealkit.runtime.gateway.keys import new_key

if TYPE_CHECKING:
    import docker

_HOLDS = 0


@dataclass(frozen=True, slots=True)
class GateFailure:
    """The gate that a revision did not pass, and why."""

    gate: str
    cause: Problem


@dataclass(frozen=True, slots=True)
class Candidate:
    """A revision that is to be tried."""

    workload: Workload
    revision: Revision
    attached: Attached
    keys: bytes | None
    """The content of the file of keys, if the command has it."""
    trust: Trust


def try_candidate(
    sdk: "docker.DockerClient", tried: Candidate, progress: Progress
) -> GateFailure | None:
    """Start a candidate and test it; return the gate that it did not pass."""
    workload, revision = tried.workload, tried.revision
    with _removed_after(sdk, workload.name):
        attached, key = _with_test_key(sdk, tried)
        create_service(sdk, candidate_spec(workload, revision, attached))
        watched = Watched(
            candidate_name(workload.name),
            revision.number,
            replicas=1,
            is_first=True,
            trust=tried.trust,
            seconds=workload.rollout_seconds,
            needed_bytes=workload.lock.requirements.memory_bytes,
        )
        progress.phase("starting a candidate of the new revision, which no caller reaches")
        outcome = watch(sdk, watched, progress)
        if outcome.end is not End.DONE and outcome.cause is not None:
            return GateFailure("ready", outcome.cause)
        progress.phase("testing the candidate")
        create_service(sdk, job_spec(workload, revision, attached, key))
        return _tested(sdk, workload, replace(watched, name=job_name(workload.name)))


def _with_test_key(
    sdk: "docker.DockerClient", tried: Candidate
) -> tuple[Attached, Mapping[str, str] | None]:
    """Let the candidate also accept a key that exists only for the test; return that key."""
    if tried.attached.keys is None:
        return tried.attached, None
    name = tried.workload.name
    key, line = new_key("mealkit-test")
    text = (tried.keys or b"").rstrip(b"\n") + f"\n{line.line}\n".encode()
    accepted = secret_for(sdk, name, "candidate-keys", text)
    attached = replace(tried.attached, keys=accepted)
    return attached, secret_for(sdk, name, "test-key", key.encode())


def _tested(sdk: "docker.DockerClient", workload: Workload, watched: Watched) -> GateFailure | None:
    job, limit = watched.name, workload.file.rollout.test_seconds
    has_ended = wait_for(
        lambda: any(task.exit_code is not None or task.is_failed for task in tasks_of(sdk, job)),
        limit + workload.pull_seconds,
    )
    if not has_ended:
        late = problem(
            "TEST_FAILED",
            "the test of the candidate did not end in time",
            measured=f"more than {limit} s",
            required=f"rollout.test_seconds: {limit}",
        )
        return GateFailure("claims", late)
    task = tasks_of(sdk, job)[0]
    if task.exit_code == _HOLDS:
        return None
    try:
        report = Report.read(task_output(sdk, task.id).encode(), job)
    except MealkitError:
        report = None
    if report is not None and report.failed:
        return GateFailure("claims", problem_of_report(report))
    cause = cause_of(sdk, watched, [task])
    return GateFailure("claims", cause or problem("TEST_FAILED", f"the test ended: {task.message}"))


def problem_of_report(report: Report) -> Problem:
    """Return the first failed claim or case of a report as a problem, with its owner."""
    first, *others = report.failed
    more = f" (and {len(others)} more)" if others else ""
    found = problem(
        "TEST_FAILED",
        f"{_name(first)}: {first.reason}{more}",
        measured=_measured(first),
        required=_required(first),
    )
    return replace(found, owner=first.owner or Owner.KIT_AUTHOR)


def _name(result: ClaimResult | CaseResult) -> str:
    return result.claim.name if isinstance(result, ClaimResult) else result.name


def _measured(result: ClaimResult | CaseResult) -> str | None:
    if isinstance(result, ClaimResult):
        return f"{result.measured:g}" if result.measured is not None else None
    return result.faults[0].answered if result.faults else None


def _required(result: ClaimResult | CaseResult) -> str | None:
    if isinstance(result, ClaimResult):
        return f"{result.claim.metric} {result.claim.value}"
    return result.faults[0].expected if result.faults else None


@contextmanager
def _removed_after(sdk: "docker.DockerClient", name: str) -> Iterator[None]:
    try:
        yield
    finally:
        remove_candidate(sdk, name)


def remove_candidate(sdk: "docker.DockerClient", name: str) -> None:
    """Remove a candidate and its test, also those that a killed command left."""
    for service in (job_name(name), candidate_name(name)):
        remove_service(sdk, service)
