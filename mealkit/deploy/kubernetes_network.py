"""Who reaches a kit in Kubernetes: Service, Ingress or HTTPRoute, NetworkPolicies, ServiceMonitor.

Everything that is not named in deploy.yaml is closed, in both directions.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mealkit.deploy.deployment_file import Ingress, Peer, Route, WeightsIn
from mealkit.deploy.kubernetes_metadata import (
    CANDIDATE,
    COMPONENT,
    FILL,
    GATE,
    STABLE,
    TRACK,
    metadata_of,
    selector_of,
)
from mealkit.deploy.kubernetes_pod import PORT_NAME
from mealkit.deploy.workload import MIB, Workload
from mealkit.units import parse_size

Form = dict[str, Any]

_NETWORK = "networking.k8s.io/v1"
_NAMESPACE = "kubernetes.io/metadata.name"
_METRICS = "/metrics"
# So the kit itself refuses what takes too long, and says why.
_PROXY_SPARE_SECONDS = 10
# A kit that fetches for its callers may reach the internet, and nothing of the cluster or the site.
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_PRIVATE_V6 = ("fc00::/7", "fe80::/10")
# The cluster's DNS, and the cache that some clusters have on each node.
_DNS: Form = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
    ],
    "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
}


def service_of(workload: Workload, name: str, track: str = STABLE) -> Form:
    """Return the Service of the Pods of a track."""
    port = {"name": PORT_NAME, "port": workload.port, "targetPort": PORT_NAME, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(workload, name, {TRACK: track}),
        "spec": {"selector": selector_of(workload, track), "ports": [port]},
    }


def outside_objects(workload: Workload) -> Iterator[Form]:
    """Yield what callers outside of the cluster need, and what Prometheus needs."""
    file = workload.file
    if file.ingress is not None:
        yield _ingress(workload, file.ingress)
    if file.route is not None:
        yield _route(workload, file.route)
    if file.monitoring.service_monitor:
        yield _service_monitor(workload)


def network_policies(workload: Workload) -> Iterator[Form]:
    """Yield the policies of the kit's Pods and of its Jobs."""
    if not workload.file.network.policy:
        return
    yield from pod_policies(workload, workload.selector)
    own = {"app.kubernetes.io/name": workload.name}
    if workload.file.rollout.gate == CANDIDATE:
        candidate = {"podSelector": {"matchLabels": selector_of(workload, CANDIDATE)}}
        called = [_DNS, {"to": [candidate], "ports": [_port(workload)]}]
        yield _policy(workload, f"{workload.name}-gate", {**own, COMPONENT: GATE}, [], called)
    if workload.file.weights.place is WeightsIn.PVC:
        yield _policy(workload, f"{workload.name}-weights", {**own, COMPONENT: FILL}, [], [])


def pod_policies(workload: Workload, pods: Mapping[str, str]) -> Iterator[Form]:
    """Yield the policy of the kit's Pods, which have these labels."""
    if workload.file.network.policy:
        yield _policy(workload, workload.name, pods, _callers(workload), _called(workload))


def network_remarks(workload: Workload) -> Iterator[str]:
    """Yield what is closed although deploy.yaml seems to need it."""
    network, file = workload.file.network, workload.file
    cost = workload.ops.cost
    if not network.policy:
        return
    if not network.allow_from:
        whom = "the controller of the Ingress" if file.ingress else "callers"
        whom = "the controller of the Gateway" if file.route else whom
        yield f"no other Pod may call the kit: name {whom} in network.allow_from"
    if file.monitoring.service_monitor and network.prometheus is None:
        yield "Prometheus may not read the metrics: name its namespace in network.prometheus"
    if cost is not None and cost.shared and not network.egress:
        yield "the kit may not reach the database of its budgets: name it in network.egress"


def _policy(
    workload: Workload,
    name: str,
    pods: Mapping[str, str],
    ingress: Sequence[Form],
    egress: Sequence[Form],
) -> Form:
    return {
        "apiVersion": _NETWORK,
        "kind": "NetworkPolicy",
        "metadata": metadata_of(workload, name),
        "spec": {
            "podSelector": {"matchLabels": dict(pods)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": list(ingress),
            "egress": list(egress),
        },
    }


def _callers(workload: Workload) -> list[Form]:
    network = workload.file.network
    peers = [_peer(item) for item in network.allow_from]
    if workload.file.rollout.gate == CANDIDATE:
        gate = {"app.kubernetes.io/name": workload.name, COMPONENT: GATE}
        peers.append({"podSelector": {"matchLabels": gate}})
    if network.prometheus is not None:
        peers.append({"namespaceSelector": {"matchLabels": {_NAMESPACE: network.prometheus}}})
    # A rule without peers would allow everyone.
    return [{"from": peers, "ports": [_port(workload)]}] if peers else []


def _called(workload: Workload) -> list[Form]:
    rules: list[Form] = []
    for item in workload.file.network.egress:
        rule: Form = {"to": [_peer(item)]}
        if item.ports:
            rule["ports"] = [{"protocol": "TCP", "port": port} for port in item.ports]
        rules.append(rule)
    if workload.fetches:
        blocks = (("0.0.0.0/0", _PRIVATE), ("::/0", _PRIVATE_V6))
        rules.append(
            {
                "to": [{"ipBlock": {"cidr": cidr, "except": list(no)}} for cidr, no in blocks],
                "ports": [{"protocol": "TCP", "port": port} for port in (80, 443)],
            }
        )
    return [_DNS, *rules] if rules else []


def _port(workload: Workload) -> Form:
    return {"protocol": "TCP", "port": workload.port}


def _peer(item: Peer) -> Form:
    if item.cidr is not None:
        return {"ipBlock": {"cidr": item.cidr}}
    form: Form = {}
    if item.namespace is not None:
        form["namespaceSelector"] = {"matchLabels": {_NAMESPACE: item.namespace}}
    if item.pods or item.namespace is None:
        form["podSelector"] = {"matchLabels": dict(item.pods)} if item.pods else {}
    return form


def _ingress(workload: Workload, ingress: Ingress) -> Form:
    backend = {"service": {"name": workload.name, "port": {"name": PORT_NAME}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: Form = {"rules": [{"host": ingress.host, "http": {"paths": [path]}}]}
    if ingress.class_name is not None:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret is not None:
        spec["tls"] = [{"hosts": [ingress.host], "secretName": ingress.tls_secret}]
    metadata = metadata_of(workload, workload.name)
    metadata["annotations"] |= {**_nginx_limits(workload), **ingress.annotations}
    return {"apiVersion": _NETWORK, "kind": "Ingress", "metadata": metadata, "spec": spec}


def _nginx_limits(workload: Workload) -> dict[str, str]:
    """Return the limits for the most used controller: its own are 60 seconds and 1 MiB."""
    seconds = str(workload.lock.serving.timeout_seconds + _PROXY_SPARE_SECONDS)
    prefix = "nginx.ingress.kubernetes.io/proxy"
    size = math.ceil(parse_size(workload.lock.serving.max_body) / MIB)
    limits = {"body-size": f"{size}m", "read-timeout": seconds, "send-timeout": seconds}
    return {f"{prefix}-{name}": value for name, value in limits.items()}


def _route(workload: Workload, route: Route) -> Form:
    parent = {"name": route.gateway}
    if route.namespace is not None:
        parent["namespace"] = route.namespace
    if route.listener is not None:
        parent["sectionName"] = route.listener
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata_of(workload, workload.name),
        "spec": {
            "parentRefs": [parent],
            "hostnames": [route.host],
            "rules": [
                {
                    "backendRefs": [{"name": workload.name, "port": workload.port}],
                    # The kit has its own limits of time; some controllers end a stream after 15 s.
                    "timeouts": {"request": "0s"},
                }
            ],
        },
    }


def _service_monitor(workload: Workload) -> Form:
    monitoring = workload.file.monitoring
    seconds = f"{monitoring.interval_seconds}s"
    endpoint = {"port": PORT_NAME, "path": _METRICS, "interval": seconds, "scrapeTimeout": seconds}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata_of(workload, workload.name, monitoring.labels),
        "spec": {
            "selector": {"matchLabels": selector_of(workload)},
            "endpoints": [endpoint],
        },
    }
