"""Reads one deployment with everything that belongs to it, and waits for the end of its rollout."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import Address, collection
from mealkit.clusters.kubernetes_pod_problems import pod_problem
from mealkit.clusters.kubernetes_rollout import Observed, RolloutState, rollout_state
from mealkit.clusters.kubernetes_views import (
    DeploymentView,
    Event,
    Job,
    Pod,
    ReplicaSet,
    read_view,
    read_views,
)
from mealkit.errors import MealkitError, Problem
from mealkit.progress import SILENT, Progress

# Events of more objects than these are not asked for: the first ones say what is wrong.
_ASKED_ABOUT = 4
_MOST_EVENTS = 200
# A pod that has been ready for minReadySeconds changes the deployment, not the pod.
_WAKE_SECONDS = 2
_STALE_SECONDS = 5
_AWAY = frozenset({"CLUSTER_UNREACHABLE", "CLUSTER_BUSY"})

_ReadT = TypeVar("_ReadT")


def deployment_address(api: KubernetesApi, name: str) -> Address:
    """Return the place of a deployment in the API's namespace."""
    return Address("apps/v1", "Deployment", api.namespace, name)


def observe(api: KubernetesApi, name: str) -> Observed:
    """Read a deployment, its replica sets, pods and events.

    Raises:
        DeploymentError: it does not exist (``CLUSTER_NOT_DEPLOYED``), or ``CLUSTER_*``.
    """
    deployment = read_view(DeploymentView, api.get(deployment_address(api, name).path))
    query = {"labelSelector": deployment.spec.selector.text}
    listed = api.listed(collection("apps/v1", "ReplicaSet", api.namespace), query)
    sets = [
        item
        for item in read_views(ReplicaSet, listed.items)
        if any(owner.uid == deployment.metadata.uid for owner in item.metadata.owners)
    ]
    listed = api.listed(collection("v1", "Pod", api.namespace), query)
    pods = read_views(Pod, listed.items)
    seen = Observed(deployment, sets, pods, (), listed.version)
    doubtful = [pod.metadata.name for pod in pods if not pod.is_ready and not pod.metadata.deleted]
    if seen.newest and (doubtful or len(seen.new_pods) < deployment.spec.replicas):
        doubtful.insert(0, seen.newest.metadata.name)
    events = [event for item in doubtful[:_ASKED_ABOUT] for event in events_about(api, item)]
    return replace(seen, events=events)


def events_about(api: KubernetesApi, name: str) -> Sequence[Event]:
    """Return the events about an object, oldest first."""
    query = {"fieldSelector": f"involvedObject.name={name}"}
    try:
        listed = api.listed(collection("v1", "Event", api.namespace), query)
    except MealkitError as error:
        # They only explain: without the right to read them, the state says enough.
        if error.problems[0].code != "CLUSTER_DENIED":
            raise
        return ()
    found = sorted(read_views(Event, listed.items), key=lambda item: item.seen)
    return found[-_MOST_EVENTS:]


def pod_selector(seen: Observed) -> Mapping[str, str]:
    """Return the query for changes of a deployment's pods since they were read."""
    return {
        "labelSelector": seen.deployment.spec.selector.text,
        "resourceVersion": seen.version,
    }


def watch_rollout(
    api: KubernetesApi,
    name: str,
    seconds: float,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> RolloutState:
    """Wait until a rollout is complete, has failed, or the time is up; return its last state.

    ``progress`` gets each state that differs from the one before.

    Raises:
        DeploymentError: the API server cannot be asked, or the deployment was deleted.
    """
    deadline = clock() + seconds

    def read_log(pod: str, container: str, previous: bool) -> str:  # noqa: FBT001
        return api.log(pod, container, previous=previous)

    told: RolloutState | None = None
    pods = collection("v1", "Pod", api.namespace)
    overdue_from = 0.0
    while True:
        seen = _patiently(lambda: observe(api, name), api, deadline - clock(), progress)
        if seen is None:
            continue
        state = rollout_state(seen, read_log)
        if told is None and state.is_overdue:
            # Of the rollout before this one, until the cluster has begun with it.
            overdue_from = clock() + _STALE_SECONDS
        if state != told:
            _tell(state, progress)
            told = state
        left = deadline - clock()
        overdue = state.is_overdue and clock() >= overdue_from
        if state.complete or state.failed or overdue or left <= 0:
            return state
        api.wait_for_change(pods, pod_selector(seen), max(1, min(_WAKE_SECONDS, int(left))))


def watch_job(
    api: KubernetesApi, address: Address, seconds: float
) -> tuple[bool | None, Sequence[Pod]]:
    """Wait until a Job has ended; return whether it succeeded (None: not in time), and its pods.

    Raises:
        DeploymentError: the API server cannot be asked, or the Job was deleted.
    """
    deadline = time.monotonic() + seconds
    pods = collection("v1", "Pod", api.namespace)
    query = {"labelSelector": f"batch.kubernetes.io/job-name={address.name}"}
    while True:
        left = deadline - time.monotonic()
        read = _patiently(lambda: (api.get(address.path), api.listed(pods, query)), api, left)
        if read is None:
            continue
        job, listed = read_view(Job, read[0]), read[1]
        found = read_views(Pod, listed.items)
        if job.ended:
            return "Complete" in job.ended, found
        if time.monotonic() >= deadline:
            return None, found
        api.wait_for_change(pods, {**query, "resourceVersion": listed.version}, _WAKE_SECONDS)


def _patiently(
    read: Callable[[], _ReadT], api: KubernetesApi, left: float, progress: Progress = SILENT
) -> _ReadT | None:
    """Return what is read; None after a pause if the API server is away and there is time left.

    A cluster goes on while its API server is replaced, so a rollout is not given up for that.
    """
    try:
        return read()
    except MealkitError as error:
        found = error.problems[0]
        if left <= 0 or found.code not in _AWAY:
            raise
        progress.phase(f"waiting for the API server: {found.message}")
        api.pause(min(left, _WAKE_SECONDS))
        return None


def pod_cause(api: KubernetesApi, pods: Sequence[Pod]) -> Problem | None:
    """Return what went wrong in the pods of a Job; its own words come first."""

    def read_log(pod: str, container: str, previous: bool) -> str:  # noqa: FBT001
        return api.log(pod, container, previous=previous)

    for pod in pods:
        if seen := pod_problem(pod, events_about(api, pod.metadata.name), read_log):
            return seen.problem
    return None


def _tell(state: RolloutState, progress: Progress) -> None:
    progress.phase(state.summary)
    if state.hindrance and not state.failed:
        progress.notice(state.hindrance)
