"""Reads one deployment with everything that belongs to it, and waits for the end of its rollout."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

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
from mealkit.errors import Problem
from mealkit.progress import Progress

# Events of more objects than these are not asked for: the first ones say what is wrong.
_ASKED_ABOUT = 4
_MOST_EVENTS = 200
# A pod that has been ready for minReadySeconds changes the deployment, not the pod.
_WAKE_SECONDS = 2


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
    listed = api.listed(collection("v1", "Event", api.namespace), query)
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
    while True:
        seen = observe(api, name)
        state = rollout_state(seen, read_log)
        if state != told:
            _tell(state, progress)
            told = state
        left = deadline - clock()
        if state.complete or state.failed or left <= 0:
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
        job = read_view(Job, api.get(address.path))
        listed = api.listed(pods, query)
        found = read_views(Pod, listed.items)
        if job.ended:
            return "Complete" in job.ended, found
        if time.monotonic() >= deadline:
            return None, found
        api.wait_for_change(pods, {**query, "resourceVersion": listed.version}, _WAKE_SECONDS)


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
