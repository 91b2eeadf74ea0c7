"""Renders a kit for Kubernetes: a Deployment with everything around it.

The same objects are written to files, sent to a cluster, and turned into a chart.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.deploy.kubernetes_pod import PORT_NAME, pod_of
from mealkit.deploy.workload import Workload
from mealkit.deploy.yaml_text import yaml_documents

Form = dict[str, Any]

TRACK = "mealkit.dev/track"
"""The label that says whether a Pod answers callers, or is only tested."""


def stable_labels(workload: Workload) -> dict[str, str]:
    """Return the labels by which the Service finds the Pods that answer callers."""
    return {**workload.selector, TRACK: "stable"}


def kubernetes_files(workload: Workload) -> Mapping[str, str]:
    """Return the files, by their names."""
    return {"deployment.yaml": yaml_documents([deployment_of(workload), service_of(workload)])}


def metadata_of(workload: Workload, name: str, labels: Mapping[str, str] | None = None) -> Form:
    """Return an object's metadata."""
    form: Form = {"name": name}
    if workload.file.namespace is not None:
        form["namespace"] = workload.file.namespace
    form["labels"] = {**workload.labels, **(labels or {})}
    form["annotations"] = workload.annotations
    return form


def deployment_of(workload: Workload) -> Form:
    """Return the Deployment: an old Pod ends only after a new one is ready."""
    rollout = workload.file.rollout
    labels = stable_labels(workload)
    rolling = {"maxSurge": rollout.max_surge, "maxUnavailable": 0}
    # Two Pods must not write to one volume.
    alone = workload.file.state.place == "pvc"
    strategy = (
        {"type": "Recreate"} if alone else {"type": "RollingUpdate", "rollingUpdate": rolling}
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(workload, workload.name),
        "spec": {
            "replicas": workload.file.replicas,
            "revisionHistoryLimit": rollout.history,
            "minReadySeconds": rollout.settle_seconds,
            "progressDeadlineSeconds": workload.rollout_seconds,
            "strategy": strategy,
            "selector": {"matchLabels": labels},
            "template": pod_of(workload, labels),
        },
    }


def service_of(workload: Workload) -> Form:
    """Return the Service, which has the deployment's name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(workload, workload.name),
        "spec": {
            "selector": stable_labels(workload),
            "ports": [
                {
                    "name": PORT_NAME,
                    "port": workload.port,
                    "targetPort": PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
