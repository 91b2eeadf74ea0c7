"""Says what a deployment on Kubernetes is: revisions, pods, and what is wrong with whom to ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_pod_problems import pod_problem
from mealkit.clusters.kubernetes_reading import observe
from mealkit.clusters.kubernetes_revisions import IMAGE, RECIPE, KeptRevision, revisions
from mealkit.clusters.kubernetes_rollout import Observed, RolloutState, rollout_state
from mealkit.clusters.kubernetes_views import Pod
from mealkit.errors import Problem
from mealkit.names import one_line

_SHOWN_EVENTS = 20


@dataclass(frozen=True, slots=True)
class PodLine:
    """One pod of a deployment."""

    name: str
    node: str
    ready: bool
    phase: str
    restarts: int
    recipe: str
    image: str
    problem: Problem | None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "pod": self.name,
            "node": self.node,
            "ready": self.ready,
            "phase": self.phase,
            "restarts": self.restarts,
            "recipe": self.recipe,
            "image": self.image,
            "problem": self.problem and self.problem.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Expected:
    """What the deployment would be by its kit and deploy.yaml."""

    recipe: str
    image: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A deployment on Kubernetes."""

    name: str
    namespace: str
    server: str
    revision: int
    recipe: str
    image: str
    state: RolloutState
    pods: tuple[PodLine, ...]
    revisions: tuple[KeptRevision, ...]
    events: tuple[str, ...]
    expected: Expected | None

    @property
    def is_as_expected(self) -> bool | None:
        """Whether every pod that runs has the expected recipe and image; None: nothing expected."""
        if self.expected is None:
            return None
        wanted = (self.expected.recipe, self.expected.image)
        return all((pod.recipe, pod.image) == wanted for pod in self.pods)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "deployment": self.name,
            "namespace": self.namespace,
            "server": self.server,
            "revision": self.revision,
            "recipe": self.recipe,
            "image": self.image,
            "wanted": self.state.wanted,
            "available": self.state.available,
            "complete": self.state.complete,
            "as_expected": self.is_as_expected,
            "problem": self.state.hindrance and self.state.hindrance.as_json(),
            "pods": [pod.as_json() for pod in self.pods],
            "revisions": [item.as_json() for item in self.revisions],
            "events": list(self.events),
        }


def cluster_status(
    api: KubernetesApi, name: str, expected: Expected | None = None
) -> ClusterStatus:
    """Read a deployment's status.

    Raises:
        DeploymentError: it does not exist (``CLUSTER_NOT_DEPLOYED``), or ``CLUSTER_*``.
    """
    seen = observe(api, name)

    def read_log(pod: str, container: str, previous: bool) -> str:  # noqa: FBT001
        return api.log(pod, container, previous=previous)

    stated = seen.deployment.spec.template.metadata.annotations
    return ClusterStatus(
        name,
        api.namespace,
        api.server,
        seen.deployment.revision,
        one_line(stated.get(RECIPE, "")),
        one_line(stated.get(IMAGE, "")),
        rollout_state(seen, read_log),
        tuple(_line(pod, seen, read_log) for pod in seen.pods),
        tuple(revisions(seen)),
        tuple(_events(seen)),
        expected,
    )


def _line(pod: Pod, seen: Observed, read_log: Any) -> PodLine:
    found = None if pod.is_ready else pod_problem(pod, seen.events, read_log)
    stated = pod.metadata.annotations
    kit = next(iter(pod.spec.containers), None)
    pinned = kit.image.rpartition("@")[2] if kit else ""
    return PodLine(
        pod.metadata.name,
        pod.spec.node,
        pod.is_ready,
        "Terminating" if pod.metadata.deleted else pod.status.phase,
        sum(item.restarts for item in pod.status.containers),
        one_line(stated.get(RECIPE, "")),
        one_line(pinned or stated.get(IMAGE, "")),
        found.problem if found else None,
    )


def _events(seen: Observed) -> Sequence[str]:
    return [
        one_line(f"{item.about.kind.lower()}/{item.about.name} {item.reason}: {item.message}")
        for item in seen.events[-_SHOWN_EVENTS:]
        if item.type == "Warning"
    ]
