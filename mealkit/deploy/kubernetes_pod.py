"""The Pod of a kit: its container, what is mounted, which nodes it may run on, and its rights.

The rights are those of the Pod Security Standard "restricted".
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.deploy.deployment_file import Toleration, WeightsIn
from mealkit.deploy.kubernetes_metadata import (
    NAMESPACE_VARIABLE,
    candidate_name,
    names_in_cluster,
    state_claim,
    weights_claim,
)
from mealkit.deploy.workload import HOSTS_VARIABLE, MIB, Gpus, Workload
from mealkit.paths import DEFAULTS, MODELS, STATE

Form = dict[str, Any]

CONTAINER = "kit"
"""The name of the kit's container."""
PORT_NAME = "http"
"""The name of its port."""
_KEYS_FOLDER = "/run/keys"
_AUDIT_FOLDER = "/run/audit-key"
_READY, _LIVE = "/v1/health/ready", "/v1/health/live"
_SCRATCH_MIB = 1024
_SHM_BYTES = 64 * MIB
"""What containerd gives /dev/shm by itself."""
_LABELS = "nvidia.com/gpu"


def pod_of(workload: Workload, selector: Mapping[str, str]) -> Form:
    """Return the template of the Pods that a selector finds."""
    labels = {**workload.labels, **selector}
    return {
        "metadata": {"labels": labels, "annotations": workload.annotations},
        "spec": _spec(workload, selector),
    }


def quantity(size_bytes: int) -> str:
    """Return a size as Kubernetes writes it, rounded up to whole MiB."""
    return f"{math.ceil(size_bytes / MIB)}Mi"


def security_of(workload: Workload) -> Form:
    """Return the rights of a Pod: no root, the runtime's filter of system calls."""
    own = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    user = workload.file.user
    if user == "platform":
        return own
    return {
        **own,
        "runAsUser": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
    }


def container_security() -> Form:
    """Return the rights of a container: none, and nothing of its image can be written."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def rolling(workload: Workload) -> Form:
    """Return how many Pods may be there besides the wanted ones, or be missing, in an update."""
    surge = workload.file.rollout.max_surge
    return {"maxSurge": surge, "maxUnavailable": 0 if surge else 1}


def pod_basis(workload: Workload) -> Form:
    """Return what every Pod of a deployment has, also those of its Jobs."""
    file = workload.file
    form: Form = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security_of(workload),
    }
    if file.service_account is not None:
        form["serviceAccountName"] = file.service_account
    if file.priority_class is not None:
        form["priorityClassName"] = file.priority_class
    if file.image_pull_secrets:
        form["imagePullSecrets"] = [{"name": name} for name in file.image_pull_secrets]
    return form


def _spec(workload: Workload, selector: Mapping[str, str]) -> Form:
    file, gpus = workload.file, workload.gpus
    form = {
        **pod_basis(workload),
        "terminationGracePeriodSeconds": workload.stop_seconds,
        "affinity": {"nodeAffinity": _node_affinity(workload, gpus)},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(selector)},
                # Each revision by itself, while two of them run.
                "matchLabelKeys": ["pod-template-hash"],
            }
        ],
        "containers": [_container(workload)],
        "volumes": list(_volumes(workload)),
    }
    if file.weights.place is WeightsIn.PVC:
        form["initContainers"] = [_waiting(workload)]
    if file.node_selector:
        form["nodeSelector"] = dict(file.node_selector)
    if gpus is not None and file.gpu.runtime_class is not None:
        form["runtimeClassName"] = file.gpu.runtime_class
    tolerations = [_toleration(item) for item in file.tolerations]
    if gpus is not None:  # nodes with GPUs are often kept for what uses them
        tolerations.append({"key": _LABELS, "operator": "Exists", "effect": "NoSchedule"})
    if tolerations:
        form["tolerations"] = tolerations
    return form


def _container(workload: Workload) -> Form:
    return {
        "name": CONTAINER,
        "image": str(workload.image),
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": PORT_NAME, "containerPort": workload.port, "protocol": "TCP"}],
        "env": list(_environment(workload)),
        "resources": _resources(workload),
        "startupProbe": _startup(workload.start_seconds),
        # A worker that died takes the Pod out at once.
        "readinessProbe": _probe(_READY, period=2, failures=1),
        # Of the gateway only, which starts a dead worker again by itself.
        "livenessProbe": _probe(_LIVE, period=10, failures=6),
        "securityContext": container_security(),
        "terminationMessagePath": DEFAULTS["MEALKIT_TERMINATION_LOG"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": list(_mounts(workload)),
    }


def _waiting(workload: Workload) -> Form:
    """Return the container that waits until a Job has filled the volume with the weights."""
    return {
        "name": "weights",
        "image": str(workload.image),
        "args": ["weights", "wait", f"/{MODELS}"],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "weights", "mountPath": f"/{MODELS}", "readOnly": True}],
    }


def _startup(seconds: int) -> Form:
    period = 2 if seconds <= 600 else 5
    return _probe(_READY, period=period, failures=math.ceil(seconds / period))


def _probe(path: str, *, period: int, failures: int) -> Form:
    return {
        "httpGet": {"path": path, "port": PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _environment(workload: Workload) -> Iterator[Form]:
    secret = workload.keys_secret
    keys_file = f"{_KEYS_FOLDER}/{workload.file.keys.file}" if secret else None
    if workload.file.auth == "off":  # before the variable that names it
        own = {"fieldRef": {"fieldPath": "metadata.namespace"}}
        yield {"name": NAMESPACE_VARIABLE, "valueFrom": own}
    for name, value in workload.environment(service_names(workload), keys_file).items():
        yield {"name": name, "value": value if name == HOSTS_VARIABLE else literal(value)}
    if (audit := workload.file.audit_key) is not None:
        yield {"name": "MEALKIT_AUDIT_KEY_FILE", "value": f"{_AUDIT_FOLDER}/{audit.key}"}
    for name, item in sorted(workload.file.secrets.items()):
        source = {"secretKeyRef": {"name": item.secret, "key": item.key}}
        yield {"name": name, "valueFrom": source}


def literal(text: str) -> str:
    """Return a text in which the kubelet finds no variable: it would replace $(NAME), and $$."""
    return text.replace("$", "$$")


def service_names(workload: Workload) -> tuple[str, ...]:
    """Return the names by which Pods of the cluster reach the kit, and those that test it."""
    return tuple(
        name
        for service in (workload.name, candidate_name(workload))
        for name in names_in_cluster(service)
    )


def cpus(number: float) -> str:
    """Return a number of CPUs as Kubernetes writes it."""
    return f"{math.ceil(number * 1000)}m" if number % 1 else str(int(number))


def _resources(workload: Workload) -> Form:
    stated = workload.file.resources
    memory = quantity(workload.memory_bytes)
    requests = {"cpu": cpus(stated.cpu), "memory": memory}
    limits = {"memory": memory}
    if stated.cpu_limit is not None:
        limits["cpu"] = cpus(stated.cpu_limit)
    if workload.gpus is not None:
        # Of one Pod, so all of them are in one node.
        limits[workload.gpus.resource] = str(workload.gpus.count)
        requests[workload.gpus.resource] = str(workload.gpus.count)
    return {"requests": requests, "limits": limits}


def _mounts(workload: Workload) -> Iterator[Form]:
    yield {"name": "state", "mountPath": f"/{STATE}"}
    yield {"name": "scratch", "mountPath": "/tmp"}  # noqa: S108  the container's own
    if workload.keys_secret is not None:
        yield {"name": "keys", "mountPath": _KEYS_FOLDER, "readOnly": True}
    if workload.file.audit_key is not None:
        yield {"name": "audit-key", "mountPath": _AUDIT_FOLDER, "readOnly": True}
    if workload.shm_bytes > _SHM_BYTES:
        yield {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108  the container's own
    match workload.file.weights.place:
        case WeightsIn.IMAGE_VOLUME:
            models = {"mountPath": f"/{MODELS}", "subPath": MODELS}
            yield {"name": "weights", **models, "readOnly": True}
        case WeightsIn.PVC:
            yield {"name": "weights", "mountPath": f"/{MODELS}", "readOnly": True}
        case WeightsIn.IMAGE:
            pass


def _volumes(workload: Workload) -> Iterator[Form]:
    yield {"name": "state", **_state(workload)}
    yield {"name": "scratch", "emptyDir": {"sizeLimit": f"{_SCRATCH_MIB}Mi"}}
    if workload.keys_secret is not None:
        secret = {"secretName": workload.keys_secret, "defaultMode": 0o440}
        yield {"name": "keys", "secret": secret}
    if (audit := workload.file.audit_key) is not None:
        secret = {"secretName": audit.secret, "defaultMode": 0o440}
        yield {"name": "audit-key", "secret": secret}
    if workload.shm_bytes > _SHM_BYTES:
        limit = quantity(workload.shm_bytes)
        yield {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": limit}}
    match workload.file.weights.place:
        case WeightsIn.IMAGE_VOLUME:
            reference = str(workload.weights_image)
            image = {"reference": reference, "pullPolicy": "IfNotPresent"}
            yield {"name": "weights", "image": image}
        case WeightsIn.PVC:
            claim = {"claimName": weights_claim(workload), "readOnly": True}
            yield {"name": "weights", "persistentVolumeClaim": claim}
        case WeightsIn.IMAGE:
            pass


def _state(workload: Workload) -> Form:
    limit = quantity(workload.state_bytes)
    match workload.file.state.place:
        case "memory":
            return {"emptyDir": {"medium": "Memory", "sizeLimit": limit}}
        case "pvc":
            return {"persistentVolumeClaim": {"claimName": state_claim(workload)}}
        case _:
            return {"emptyDir": {"sizeLimit": limit}}


def _node_affinity(workload: Workload, gpus: Gpus | None) -> Form:
    names = [item.value for item in workload.lock.requirements.architectures]
    always: list[Form] = [
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": sorted(names)},
    ]
    if gpus is not None and gpus.products:
        values = list(gpus.products)
        always.append({"key": f"{_LABELS}.product", "operator": "In", "values": values})
    if gpus is not None and gpus.memory_mib is not None:
        values = [str(gpus.memory_mib - 1)]
        always.append({"key": f"{_LABELS}.memory", "operator": "Gt", "values": values})
    terms = [
        {"matchExpressions": [*always, *capability]}
        for capability in _capabilities(gpus.capability if gpus else None)
    ]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _capabilities(least: tuple[int, int] | None) -> list[list[Form]]:
    """Return the alternatives for a compute capability: a newer major, or enough of the same."""
    if least is None:
        return [[]]
    major, minor = least
    key = f"{_LABELS}.compute"

    def greater(part: str, than: int) -> Form:
        return {"key": f"{key}.{part}", "operator": "Gt", "values": [str(than)]}

    if minor == 0:
        return [[greater("major", major - 1)]]
    same = {"key": f"{key}.major", "operator": "In", "values": [str(major)]}
    return [[greater("major", major)], [same, greater("minor", minor - 1)]]


def _toleration(item: Toleration) -> Form:
    return item.model_dump(exclude_none=True)
