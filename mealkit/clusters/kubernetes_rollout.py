"""The state of a Deployment's rollout, from its own status, its replica sets, pods and events.

Complete means what `kubectl rollout status` means: every wanted pod is of the newest template and
available, and no older one is left. No I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mealkit.clusters.kubernetes_pod_problems import (
    ReadLog,
    creation_problem,
    not_ready,
    pod_problem,
)
from mealkit.clusters.kubernetes_views import DeploymentView, Event, Pod, ReplicaSet
from mealkit.errors import Problem


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read about one deployment at one time."""

    deployment: DeploymentView
    sets: Sequence[ReplicaSet]
    pods: Sequence[Pod]
    events: Sequence[Event]
    version: str = ""
    """The version of the cluster at which the pods were read."""

    @property
    def newest(self) -> ReplicaSet | None:
        """The replica set of the deployment's present revision."""
        revision = self.deployment.revision
        return next((item for item in self.sets if revision and item.revision == revision), None)

    @property
    def new_pods(self) -> Sequence[Pod]:
        """The pods of the present revision that are not being deleted."""
        newest = self.newest
        if newest is None:
            return ()
        return [
            pod
            for pod in self.pods
            if not pod.metadata.deleted
            and any(owner.uid == newest.metadata.uid for owner in pod.metadata.owners)
        ]


@dataclass(frozen=True, slots=True)
class RolloutState:
    """How far a rollout is, and what hinders it."""

    wanted: int
    available: int
    """The available pods of the new revision."""
    hindrance: Problem | None = None
    """What keeps the first pod that is not ready from being ready."""
    failed: bool = False
    """Whether the hindrance will not go away by waiting."""
    is_overdue: bool = False
    """Whether the cluster says that the deployment's own deadline has passed."""
    complete: bool = False

    @property
    def summary(self) -> str:
        """For progress: how many pods are there."""
        return f"{self.available} of {self.wanted} new pods are available"


def rollout_state(seen: Observed, read_log: ReadLog) -> RolloutState:
    """Return how far a rollout is."""
    wanted, status = seen.deployment.spec.replicas, seen.deployment.status
    current = status.observed >= seen.deployment.metadata.generation
    available = min(status.available, status.updated) if current else 0
    complete = (
        current
        and status.updated >= wanted
        and status.replicas <= status.updated
        and status.available >= status.updated
    )
    if complete:
        return RolloutState(wanted, status.available, complete=True)
    if not current:
        return RolloutState(wanted, 0)
    # Old pods are available, too: count the new ones that are ready.
    ready = sum(pod.is_ready for pod in seen.new_pods)
    found, failed = _hindrance(seen, read_log)
    overdue = _overdue(seen.deployment)
    return RolloutState(wanted, min(available, ready), found, failed=failed, is_overdue=overdue)


def _hindrance(seen: Observed, read_log: ReadLog) -> tuple[Problem | None, bool]:
    newest = seen.newest
    found = [pod_problem(pod, seen.events, read_log) for pod in seen.new_pods]
    problems = [item for item in found if item is not None]
    for item in problems:
        if item.is_final:
            return item.problem, True
    if newest and (refused := creation_problem([newest], seen.events)):
        return refused, True
    if problems:
        return problems[0].problem, False
    waiting = [pod for pod in seen.new_pods if not pod.is_ready and pod.status.phase == "Running"]
    if waiting:
        return not_ready(waiting[0], seen.events), False
    return None, False


def _overdue(deployment: DeploymentView) -> bool:
    return any(
        item.type == "Progressing"
        and item.status == "False"
        and item.reason == "ProgressDeadlineExceeded"
        for item in deployment.status.conditions
    )


def with_owner_of(found: Problem, cause: Problem | None) -> Problem:
    """Return a problem with the owner and the contact of what caused it."""
    return replace(found, owner=cause.owner, contact=cause.contact) if cause else found
