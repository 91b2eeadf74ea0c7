"""The gate of a rollout: a candidate of the new revision, and a Job that tests its claims.

The candidate gets no requests of callers, and is deleted after its test, whatever the result.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mealkit.acceptance.report import CaseResult, Report
from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import Address, address_of
from mealkit.clusters.kubernetes_reading import pod_cause, watch_job, watch_rollout
from mealkit.clusters.kubernetes_rollout import with_owner_of
from mealkit.clusters.kubernetes_views import (
    DeploymentView,
    Job,
    Pod,
    read_view,
)
from mealkit.errors import DeploymentError, MealkitError, Problem, failure, problem
from mealkit.progress import Progress

TRACK, CANDIDATE = "mealkit.dev/track", "candidate"
_SPARE_SECONDS = 60
_USUAL_SECONDS = 1800
_REPORT_BYTES = 4 * 1024 * 1024

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
    progress.phase(f"testing the candidate: {address.text}")
    api.apply(address, item)
    succeeded, pods = watch_job(api, address, seconds or job_seconds(item))
    report = _report(pods, api)
    if succeeded:
        return GateResult(address.name, report)
    if report and report.failed:
        raise _claims_failed(report)
    raise _failed(
        "claims",
        f"the candidate could not be tested: {address.text}",
        "the Job failed" if succeeded is False else "the Job has not ended in time",
        "the Job ends with success",
        pod_cause(api, pods),
    )


def run_filling(item: Item, api: KubernetesApi, seconds: float | None, progress: Progress) -> None:
    """Run a Job that the deployment's pods wait for, such as the one that copies weights.

    One that has succeeded is not run again; one that has failed is deleted and run again.

    Raises:
        DeploymentError: it fails (``ROLLOUT_FAILED``).
    """
    address = address_of(item, api.namespace)
    live = api.find(address.path)
    if live and "Failed" in read_view(Job, live).ended:
        _delete([address], api, progress)
    api.apply(address, item)
    progress.phase(f"waiting for {address.text}")
    succeeded, pods = watch_job(api, address, seconds or job_seconds(item))
    if not succeeded:
        raise _failed(
            "weights",
            f"{address.text} has not copied the weights",
            "the Job failed" if succeeded is False else "the Job has not ended in time",
            "the Job ends with success",
            pod_cause(api, pods),
        )


def job_seconds(item: Item) -> float:
    """Return how long a Job may take until it has ended, by its own deadline."""
    return (read_view(Job, item).spec.deadline or _USUAL_SECONDS) + _SPARE_SECONDS


def _claims_failed(report: Report) -> MealkitError:
    worst = report.failed[0]
    name = worst.name if isinstance(worst, CaseResult) else worst.claim.name
    cause = problem("TEST_FAILED", worst.reason, where=name)
    if worst.owner is not None:
        cause = replace(cause, owner=worst.owner)
    return _failed(
        "claims",
        f"{len(report.failed)} of the candidate's claims and cases fail",
        f"{name}: {worst.reason}",
        "every claim and case holds",
        cause,
    )


def _report(pods: Sequence[Pod], api: KubernetesApi) -> Report | None:
    """Return the report that a Job printed, from the last pod that printed one.

    A log has what the test wrote to stderr, too; the report is a JSON object of its own lines.
    """
    for pod in reversed(pods):
        for container in pod.status.containers:
            log = api.log(pod.metadata.name, container.name, limit_bytes=_REPORT_BYTES)
            lines = log.splitlines()
            if "{" not in lines or "}" not in lines:
                continue
            last = len(lines) - lines[::-1].index("}")
            text = "\n".join(lines[lines.index("{") : last])
            with contextlib.suppress(MealkitError):
                return Report.read(text.encode(), f"pods/{pod.metadata.name}")
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
