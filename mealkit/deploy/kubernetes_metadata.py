"""Names, labels and metadata of the objects, which the modules for their kinds share."""

from collections.abc import Mapping
from typing import Any

from mealkit.deploy.workload import Workload

Form = dict[str, Any]

TRACK = "mealkit.dev/track"
"""The label that says whether a Pod answers callers (stable), or is only tested (candidate)."""
STABLE, CANDIDATE = "stable", "candidate"
COMPONENT = "app.kubernetes.io/component"
NAMESPACE_VARIABLE = "POD_NAMESPACE"
"""The variable that has the Pod's own namespace."""
GATE, FILL = "gate", "weights"
"""The components that Jobs are: of the test of a candidate, and of the filling of a volume."""


def selector_of(workload: Workload, track: str = STABLE) -> dict[str, str]:
    """Return the labels by which a Service finds its Pods."""
    return {**workload.selector, TRACK: track}


def metadata_of(workload: Workload, name: str, labels: Mapping[str, str] | None = None) -> Form:
    """Return an object's metadata."""
    form: Form = {"name": name}
    if workload.file.namespace is not None:
        form["namespace"] = workload.file.namespace
    form["labels"] = {**workload.labels, **(labels or {})}
    form["annotations"] = workload.annotations
    return form


def candidate_name(workload: Workload) -> str:
    """Return the name of the deployment that is tested before the others are replaced."""
    return f"{workload.name}-candidate"


def weights_claim(workload: Workload) -> str:
    """Return the name of the volume with the weights: another one for other weights."""
    return f"{workload.name}-weights-{workload.weights_digest.hex[:8]}"


def state_claim(workload: Workload) -> str:
    """Return the name of the volume for what a container writes."""
    return f"{workload.name}-state"


def names_in_cluster(service: str) -> tuple[str, ...]:
    """Return the names by which Pods reach a Service, for a variable of a container.

    The namespace may be known only when the objects are applied, so the kubelet writes it.
    """
    full = f"{service}.$({NAMESPACE_VARIABLE})"
    return (service, full, f"{full}.svc", f"{full}.svc.cluster.local")
