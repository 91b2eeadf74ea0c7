"""Returns a deployment on Kubernetes to an earlier revision, and waits until it answers."""

import time

from mealkit.clusters.kubernetes_api import MANAGER, KubernetesApi
from mealkit.clusters.kubernetes_reading import observe, watch_rollout
from mealkit.clusters.kubernetes_revisions import (
    change_cause,
    previous_revision,
    return_to,
    revisions,
)
from mealkit.errors import failure
from mealkit.pipeline.cluster.kubernetes_applying import (
    ApplyOptions,
    failed_rollout,
    rollout_seconds,
)
from mealkit.pipeline.cluster.kubernetes_status import ClusterStatus, cluster_status
from mealkit.progress import Progress

_MANAGED_BY = "app.kubernetes.io/managed-by"


def roll_back(
    api: KubernetesApi,
    name: str,
    revision: int | None,
    options: ApplyOptions,
    progress: Progress,
) -> ClusterStatus:
    """Return to a revision, by default the one before, and return the status after it.

    Raises:
        DeploymentError: there is no such revision, or the deployment is not of mealkit
            (``CLUSTER_NOT_DEPLOYED``); or its pods do not become ready (``ROLLOUT_FAILED``).
    """
    seen = observe(api, name)
    if seen.deployment.metadata.labels.get(_MANAGED_BY) != MANAGER:
        message = f"deployments/{name} was not rendered by mealkit, which leaves it alone"
        hint = f"kubectl rollout undo deployment/{name}"
        raise failure("CLUSTER_NOT_DEPLOYED", message, hint=hint)
    wanted = previous_revision(seen) if revision is None else revision
    if wanted is None:
        message = f"deployments/{name} keeps no revision before {seen.deployment.revision}"
        raise failure("CLUSTER_NOT_DEPLOYED", message, hint="apply the kit that you want instead")
    if any(item.is_current and item.number == wanted for item in revisions(seen)):
        progress.phase(f"revision {wanted} is the present one")
        return cluster_status(api, name)
    progress.phase(f"returning from revision {seen.deployment.revision} to {wanted}")
    return_to(api, name, wanted, change_cause(f"rollback to revision {wanted}", options.why))
    if options.wait:
        _wait(api, name, wanted, options.seconds or rollout_seconds(seen.deployment), progress)
    return cluster_status(api, name)


def _wait(api: KubernetesApi, name: str, revision: int, seconds: float, progress: Progress) -> None:
    began = time.monotonic()

    state = watch_rollout(api, name, seconds, progress)
    if not state.complete:
        outcome = f"revision {revision} was applied again, and its pods are not ready"
        raise failed_rollout(name, "ready", state, time.monotonic() - began, outcome)
