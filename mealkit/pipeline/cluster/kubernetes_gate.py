"""The gate of a rollout: a candidate of the new revision, and a Job that tests its claims.

The candidate gets no requests of callers, and is deleted after its test, whatever the result.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mealkit.acceptance.report import CaseResult, Report
from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import Address, address_of, collection
from mealkit.clusters.kubernetes_pod_problems import own_problem, pod_problem
from mealkit.clusters.kubernetes_reading import events_about, watch_rollout
from mealkit.clusters.kubernetes_rollout import with_owner_of
from mealkit.clusters.kubernetes_views import (
    DeploymentView,
    Job,
    Pod,
    member,
    read_view,
    read_views,
)
from mealkit.errors import DeploymentError, MealkitError, Problem, failure, problem
from mealkit.progress import Progress

TRACK, CANDIDATE = "mealkit.dev/track", "candidate"
_WAKE_SECONDS = 2
_SPARE_SECONDS = 60
_LOG_LINES = 2000

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the test of a candidate found."""

    job: str
    report: Report | None
    """None: the Job succeeded without a report that can be read."""

    @property
    def summary(self) -> str:
        """The result in a few words, for the revision."""
        if self.report is None:
            return "the test passed"
        claims, cases = len(self.report.claims), len(self.report.cases)
        return f"{claims} claims and {cases} cases hold"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        report = self.report.model_dump(mode="json") if self.report else None
        return {"job": self.job, "report": report}


def is_of_gate(item: Item) -> bool:
    """Return whether an object is only for the test of a candidate."""
    labels = item["metadata"].get("labels") or {}
    return bool(labels.get(TRACK) == CANDIDATE)


def run_gate(
    objects: Sequence[Item], api: KubernetesApi, seconds: float | None, progress: Progress
) -> GateResult | None:
    """Start a candidate, test it, and delete it.

    Raises:
        DeploymentError: it does not become ready, or a claim does not hold (``ROLLOUT_FAILED``).
    """
    addresses = [address_of(item, api.namespace) for item in objects]
    _delete(addresses, api, progress)
    try:
        return _tested(objects, api, seconds, progress)
    finally:
        progress.phase("deleting the candidate")
        _delete(addresses, api, progress)


def _tested(
    objects: Sequence[Item], api: KubernetesApi, seconds: float | None, progress: Progress
) -> GateResult | None:
    jobs = [item for item in objects if item["kind"] == "Job"]
    for item in objects:
        if item["kind"] != "Job":
            api.apply(address_of(item, api.namespace), item)
    for item in objects:
        if item["kind"] == "Deployment":
            _require_ready(item, api, seconds, progress)
    for item in jobs:
        return _judged(item, api, seconds, progress)
    return None


def _require_ready(
    item: Item, api: KubernetesApi, seconds: float | None, progress: Progress
) -> None:
    name = address_of(item, api.namespace).name
    deadline = seconds or read_view(DeploymentView, item).spec.deadline + _SPARE_SECONDS
    began = time.monotonic()
    progress.phase(f"starting the candidate {name}")
    state = watch_rollout(api, name, deadline, progress)
    if not state.complete:
        raise _failed(
            "ready",
            f"the candidate {name} is not ready",
            f"{state.available} of {state.wanted} after {time.monotonic() - began:.0f} s",
            f"{state.wanted} ready",
            state.hindrance,
        )


def _judged(
    item: Item, api: KubernetesApi, seconds: float | None, progress: Progress
) -> GateResult:
    address = address_of(item, api.namespace)
    stated = member(item, "spec").get("activeDeadlineSeconds")
    limit = seconds or (stated if isinstance(stated, int) else 1800) + _SPARE_SECONDS
    progress.phase(f"testing the candidate: {address.text}")
    api.apply(address, item)
    deadline = time.monotonic() + limit
    pods = collection("v1", "Pod", api.namespace)
    query = {"labelSelector": f"batch.kubernetes.io/job-name={address.name}"}
    while True:
        job = read_view(Job, api.get(address.path))
        listed = api.listed(pods, query)
        found = read_views(Pod, listed.items)
        ended = {one.type for one in job.status.conditions if one.status == "True"}
        if "Complete" in ended:
            return GateResult(address.name, _report(found, api))
        if "Failed" in ended or time.monotonic() >= deadline:
            raise _refused(address, found, api, "Failed" in ended)
        api.wait_for_change(pods, {**query, "resourceVersion": listed.version}, _WAKE_SECONDS)


def _refused(
    address: Address,
    pods: Sequence[Pod],
    api: KubernetesApi,
    ended: bool,  # noqa: FBT001
) -> MealkitError:
    report = _report(pods, api)
    if report and report.failed:
        worst = report.failed[0]
        name = worst.name if isinstance(worst, CaseResult) else worst.claim.name
        return _failed(
            "claims",
            f"{len(report.failed)} of the candidate's claims and cases do not hold: {worst.reason}",
            f"{name}: {getattr(worst, 'measured', None) or worst.verdict.value}",
            "every claim and case holds",
            problem("TEST_FAILED", worst.reason, where=name),
        )
    cause = _cause(pods, api)
    measured = "the Job failed" if ended else "the Job has not ended in time"
    message = f"the candidate could not be tested: {address.text}"
    return _failed("claims", message, measured, "the Job ends with success", cause)


def _cause(pods: Sequence[Pod], api: KubernetesApi) -> Problem | None:
    def read_log(pod: str, container: str, previous: bool) -> str:  # noqa: FBT001
        return api.log(pod, container, previous=previous)

    for pod in pods:
        for container in pod.every_container:
            if container.ended and (found := own_problem(container.ended)):
                return found
        if seen := pod_problem(pod, events_about(api, pod.metadata.name), read_log):
            return seen.problem
    return None


def _report(pods: Sequence[Pod], api: KubernetesApi) -> Report | None:
    """Return the report that a Job printed, from the last pod that printed one."""
    for pod in reversed(pods):
        for container in pod.status.containers:
            log = api.log(pod.metadata.name, container.name, lines=_LOG_LINES)
            begin = log.find("{")
            if begin < 0:
                continue
            try:
                return Report.read(log[begin:].encode(), f"pods/{pod.metadata.name}")
            except (MealkitError, ValidationError):
                continue
    return None


def _failed(
    gate: str, message: str, measured: str, required: str, cause: Problem | None
) -> MealkitError:
    found = problem(
        "ROLLOUT_FAILED",
        f"the rollout failed at the gate {gate}: {message}; nothing was replaced",
        measured=measured,
        required=required,
    )
    causes = (cause,) if cause else ()
    return DeploymentError(with_owner_of(found, cause), *causes)


def _delete(addresses: Sequence[Address], api: KubernetesApi, progress: Progress) -> None:
    """Delete what a test made, and wait until Jobs are gone: they cannot be changed, only new."""
    for address in addresses:
        api.delete(address.path)
    deadline = time.monotonic() + _SPARE_SECONDS
    for address in addresses:
        query = {"fieldSelector": f"metadata.name={address.name}"}
        while (listed := api.listed(address.collection, query)).items:
            if time.monotonic() > deadline:
                message = f"{address.text} is not deleted after {_SPARE_SECONDS} seconds"
                raise failure("CLUSTER_BUSY", message, where=f"{address.text} at {api.server}")
            progress.phase(f"waiting until {address.text} is deleted")
            since = {**query, "resourceVersion": listed.version}
            api.wait_for_change(address.collection, since, 1)
