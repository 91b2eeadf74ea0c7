"""The Jobs beside a deployment: one tests a candidate, one fills a volume with the weights.

Jobs cannot be changed, so each has the digest of what it is for in its name.
"""

import hashlib
import math
from typing import Any

from mealkit.deploy.kubernetes_metadata import (
    CANDIDATE,
    COMPONENT,
    FILL,
    GATE,
    TRACK,
    candidate_name,
    metadata_of,
    selector_of,
    state_claim,
    weights_claim,
)
from mealkit.deploy.kubernetes_network import service_of
from mealkit.deploy.kubernetes_pod import container_security, pod_basis, pod_of, quantity
from mealkit.deploy.workload import MIB, READ_BYTES_PER_SECOND, Workload
from mealkit.paths import STATE
from mealkit.units import parse_size

Form = dict[str, Any]

_VOLUME = "/volume"
_KEPT_SECONDS = 86400
_JOB_MEMORY = 512 * MIB
_SPARE_SECONDS = 600
# Some networks refuse the first connections of a new Pod, until every node knows it.
_REACHED_SECONDS = 60


def gate_objects(workload: Workload) -> list[Form]:
    """Return a candidate of the new revision, with its Service, and the Job that tests it.

    They have the track "candidate": no caller reaches them, and all of them are deleted after the
    test.
    """
    name, selector = candidate_name(workload), selector_of(workload, CANDIDATE)
    template = pod_of(workload, selector)
    if workload.file.state.place == "pvc":  # the stable Pod writes to that one
        limit = {"emptyDir": {"sizeLimit": quantity(workload.state_bytes)}}
        volumes = template["spec"]["volumes"]
        template["spec"]["volumes"] = [
            {"name": "state", **limit} if item["name"] == "state" else item for item in volumes
        ]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(workload, name, {TRACK: CANDIDATE}),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": workload.rollout_seconds,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": template,
        },
    }
    return [deployment, service_of(workload, name, CANDIDATE), _gate_job(workload)]


def _gate_job(workload: Workload) -> Form:
    address = f"http://{candidate_name(workload)}:{workload.port}"
    container: Form = {
        "name": GATE,
        "image": str(workload.image),
        "args": ["test", address, f"--wait={_REACHED_SECONDS}", *workload.test_arguments],
        "resources": _job_resources(),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108  the container's
    }
    if workload.test_key is not None:
        source = {"secretKeyRef": {"name": workload.test_key.secret, "key": workload.test_key.key}}
        container["env"] = [{"name": "MEALKIT_API_KEY", "valueFrom": source}]
    labels = {COMPONENT: GATE, TRACK: CANDIDATE}
    spec = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": workload.file.rollout.test_seconds,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "template": _job_pod(workload, container, labels, [{"name": "scratch", "emptyDir": {}}]),
    }
    return _job(workload, GATE, labels, spec)


def state_volume(workload: Workload) -> Form:
    """Return the claim for what the container writes."""
    return _claim(
        workload,
        state_claim(workload),
        workload.state_bytes,
        workload.file.state.storage_class,
        "ReadWriteOnce",
    )


def weights_volume(workload: Workload) -> list[Form]:
    """Return the claim for the weights, and the Job that fills it from the image.

    The Job copies only what is not there yet, and compares every byte with the lock.
    """
    place = workload.file.weights
    stated = None if place.size is None else parse_size(place.size)
    size = stated or math.ceil(workload.weights_bytes * 1.1) + 64 * MIB
    claim = _claim(workload, weights_claim(workload), size, place.storage_class, place.access)
    container = {
        "name": FILL,
        "image": str(workload.weights_image),
        "args": ["weights", "copy", _VOLUME],
        "resources": _job_resources(),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "weights", "mountPath": _VOLUME},
            {"name": "state", "mountPath": f"/{STATE}"},
        ],
    }
    volumes: list[Form] = [
        {"name": "weights", "persistentVolumeClaim": {"claimName": weights_claim(workload)}},
        {"name": "state", "emptyDir": {}},
    ]
    copying = 4 * math.ceil(workload.weights_bytes / READ_BYTES_PER_SECOND)
    spec = {
        "backoffLimit": 6,
        "activeDeadlineSeconds": workload.pull_seconds + copying + _SPARE_SECONDS,
        "template": _job_pod(workload, container, {COMPONENT: FILL}, volumes),
    }
    return [claim, _job(workload, FILL, {COMPONENT: FILL}, spec)]


def _job(workload: Workload, purpose: str, labels: dict[str, str], spec: Form) -> Form:
    digest = hashlib.sha256(repr(sorted(spec.items())).encode()).hexdigest()
    name = f"{workload.name}-{purpose}-{digest[:8]}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata_of(workload, name, labels),
        "spec": spec,
    }


def _job_pod(
    workload: Workload, container: Form, labels: dict[str, str], volumes: list[Form]
) -> Form:
    own = {"app.kubernetes.io/name": workload.name, **labels}
    form = {
        **pod_basis(workload),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
    }
    if workload.file.node_selector:
        form["nodeSelector"] = dict(workload.file.node_selector)
    return {"metadata": {"labels": own}, "spec": form}


def _job_resources() -> Form:
    memory = quantity(_JOB_MEMORY)
    return {"requests": {"cpu": "100m", "memory": memory}, "limits": {"memory": memory}}


def _claim(
    workload: Workload, name: str, size_bytes: int, storage_class: str | None, access: str
) -> Form:
    spec: Form = {
        "accessModes": [access],
        "resources": {"requests": {"storage": quantity(size_bytes)}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata_of(workload, name),
        "spec": spec,
    }
