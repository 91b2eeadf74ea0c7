"""The kinds of objects that mealkit writes to a cluster: their paths, and the order of applying.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.errors import failure

# In this order: who may do what comes first, the network is closed before anything runs, and what a
# Deployment mounts exists before it. The last ones send requests to it, or count its pods.
_PLURALS: Mapping[tuple[str, str], str] = {
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("v1", "ServiceAccount"): "serviceaccounts",
    ("v1", "Secret"): "secrets",
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "PersistentVolumeClaim"): "persistentvolumeclaims",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
    ("batch/v1", "Job"): "jobs",
    ("apps/v1", "Deployment"): "deployments",
    ("v1", "Service"): "services",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "horizontalpodautoscalers",
    ("networking.k8s.io/v1", "Ingress"): "ingresses",
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproutes",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "servicemonitors",
    ("monitoring.coreos.com/v1", "PodMonitor"): "podmonitors",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "prometheusrules",
}
_ORDER = list(_PLURALS)

# The kinds of other software, which a cluster may lack: the kit runs without them.
_OPTIONAL = frozenset({"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"})


@dataclass(frozen=True, slots=True)
class Address:
    """An object's place in the API."""

    version: str
    """As in ``apps/v1``."""
    kind: str
    namespace: str
    name: str

    @property
    def collection(self) -> str:
        """The path of all objects of this kind in the namespace."""
        return collection(self.version, self.kind, self.namespace)

    @property
    def path(self) -> str:
        """The object's path."""
        return f"{self.collection}/{self.name}"

    @property
    def text(self) -> str:
        """For messages: ``deployments/my-kit``."""
        return f"{_PLURALS[self.version, self.kind]}/{self.name}"

    @property
    def is_optional(self) -> bool:
        """Whether a cluster may lack this kind of object."""
        return self.version in _OPTIONAL


def collection(version: str, kind: str, namespace: str | None = None) -> str:
    """Return the path of all objects of a kind, in one namespace or in all of them."""
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    plural = _PLURALS.get((version, kind)) or f"{kind.lower()}s"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def address_of(item: Mapping[str, Any], namespace: str) -> Address:
    """Return the place of a rendered object, in its own namespace or else in this one.

    Raises:
        DeploymentError: mealkit does not write this kind of object (``CLUSTER_KIND_MISSING``).
    """
    version, kind = str(item["apiVersion"]), str(item["kind"])
    if (version, kind) not in _PLURALS:
        message = f"mealkit does not apply objects of the kind {kind} ({version})"
        raise failure("CLUSTER_KIND_MISSING", message, hint="kubectl apply --server-side -f FILE")
    stated = item["metadata"]
    return Address(version, kind, str(stated.get("namespace") or namespace), str(stated["name"]))


def in_order(objects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return objects in the order in which they are applied."""
    return sorted(objects, key=lambda item: _place(str(item["apiVersion"]), str(item["kind"])))


def _place(version: str, kind: str) -> int:
    key = (version, kind)
    return _ORDER.index(key) if key in _PLURALS else len(_ORDER)
