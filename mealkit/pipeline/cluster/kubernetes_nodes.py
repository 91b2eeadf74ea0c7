"""The preflight for a cluster: on which of its nodes a kit fits, and why not on the others.

The checks are those for machines, on the facts that a node states; those about a cluster's own
rules are here. What nodes do not state, such as memory errors of a GPU, the kit checks when it
starts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import collection
from mealkit.clusters.kubernetes_node_facts import GPU, Free, free_of, node_facts
from mealkit.clusters.kubernetes_views import Node, Pod, Taint, read_view, read_views
from mealkit.names import one_line
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.preflighting import Machine, PreflightAnswer, PreflightRequest
from mealkit.pipeline.machine.stated_needs import Stated, open_recipe, stated_by
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Context, Finding, Report, Severity, Verdict
from mealkit.preflight.run import preflight
from mealkit.progress import Progress
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size

_SOURCE = "https://kubernetes.io/docs/concepts/scheduling-eviction/"
# What a node does not state, or what its kubelet takes care of.
_NOT_OF_NODES = frozenset({"HW_ECC", "HOST_DRIVER_MISSING", "HOST_CLOCK"})
_HINDERING = frozenset({"NoSchedule", "NoExecute"})
_IMAGE_VOLUMES, _IMAGE_VOLUMES_WITH_GATE = (1, 36), (1, 33)


@dataclass(frozen=True, slots=True)
class PodNeeds:
    """What one pod of a kit requests."""

    memory_bytes: int
    cpus: Decimal = Decimal(1)
    gpus: int = 0
    gpu_resource: str = GPU
    tolerations: tuple[Mapping[str, Any], ...] = ()
    image_volume: bool = False


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """What is free on a node, and which rules it has."""

    name: str
    kubelet: str
    runtime: str
    gpus: str
    free: Mapping[str, str]
    image_volumes: str
    taints: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "node": self.name,
            "kubelet": self.kubelet,
            "runtime": self.runtime,
            "gpus": self.gpus,
            "free": dict(self.free),
            "image_volumes": self.image_volumes,
            "taints": list(self.taints),
        }


@dataclass(frozen=True, slots=True)
class ClusterAnswer:
    """The findings for every node of a cluster."""

    server: str
    answer: PreflightAnswer
    nodes: tuple[NodeSummary, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: that of several machines, with the nodes."""
        found = self.answer.as_json()
        return {**found, "server": self.server, "nodes": [item.as_json() for item in self.nodes]}


def preflight_cluster(
    request: PreflightRequest, api: KubernetesApi, home: Home, progress: Progress
) -> ClusterAnswer:
    """Compare a kit, a lock or an image with every node of a cluster.

    Raises:
        DeploymentError: the cluster cannot be asked (``CLUSTER_*``).
        MealkitError: the kit cannot be read, or states no requirements.
    """
    recipe = open_recipe(request.target, home, request.allowed, progress)
    found: dict[str, Stated] = {}

    def stated(architecture: str) -> Stated:
        if architecture not in found:
            found[architecture] = stated_by(recipe, architecture, home, progress)
        return found[architecture]

    nodes, pods = read_nodes(api, progress)
    machines, summaries = [], []
    for node in nodes:
        kit = stated(node.status.info.architecture)
        free = free_of(node, pods.get(node.metadata.name, ()))
        report = node_report(node, free, kit, needs_of(kit.requirements))
        machines.append(Machine(one_line(node.metadata.name), report))
        summaries.append(summary_of(node, free))
    first = next(iter(found.values()), None) or stated("amd64")
    answer = PreflightAnswer(first.name, first.owner, tuple(machines))
    return ClusterAnswer(api.server, answer, tuple(summaries))


def fitting_nodes(
    kits: Mapping[str, Stated], needs: PodNeeds, api: KubernetesApi, progress: Progress
) -> tuple[int, Sequence[Machine]]:
    """Return how many nodes could run a kit if they were empty, and every node's findings now.

    ``kits`` are a kit's statements by architecture.
    """
    nodes, pods = read_nodes(api, progress)
    machines, fitting = [], 0
    for node in nodes:
        kit = kits.get(node.status.info.architecture) or next(iter(kits.values()))
        free = free_of(node, pods.get(node.metadata.name, ()))
        machines.append(Machine(one_line(node.metadata.name), node_report(node, free, kit, needs)))
        empty = node_report(node, free_of(node, ()), kit, needs)
        fitting += empty.verdict is not Verdict.DOES_NOT_FIT
    return fitting, machines


def read_nodes(
    api: KubernetesApi, progress: Progress
) -> tuple[Sequence[Node], Mapping[str, Sequence[Pod]]]:
    """Read the nodes of a cluster, and the pods on each that have not ended."""
    progress.phase(f"reading the nodes of {api.server}")
    nodes = read_views(Node, api.listed(collection("v1", "Node")).items)
    running = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
    # Of a page, only what is counted is kept: a cluster may have a hundred thousand pods.
    pods: dict[str, list[Pod]] = {}
    for pod in api.reduced(collection("v1", "Pod"), running, _counted):
        pods.setdefault(pod.spec.node, []).append(pod)
    return nodes, pods


def _counted(item: Mapping[str, Any]) -> Pod:
    return Pod(spec=read_view(Pod, item).spec)


def needs_of(requirements: Requirements) -> PodNeeds:
    """Return what a pod requests by the kit's own statements."""
    return PodNeeds(requirements.memory_bytes, gpus=requirements.gpus)


def node_report(node: Node, free: Mapping[str, Free], kit: Stated, needs: PodNeeds) -> Report:
    """Return the findings for one node: the cluster's rules first, then the machine's."""
    facts: Facts = node_facts(node, free)
    context = Context(kit.engine, disk_bytes=kit.requirements.disk_bytes)
    machine = preflight(facts, kit.requirements, context)
    kept = [item for item in machine.findings if item.code not in _NOT_OF_NODES]
    own = (_readiness(node), _tainted(node, needs), _requested(free, needs), _volumes(node, needs))
    return Report([item for item in own if item] + kept)


def summary_of(node: Node, free: Mapping[str, Free]) -> NodeSummary:
    """Return what is free on a node, in words."""
    labels = node.metadata.labels
    count = free.get(GPU)
    product = one_line(labels.get(f"{GPU}.product", "unknown GPU"))
    gpus = f"{count.free:f} of {count.total:f} {product}" if count and count.total else ""
    return NodeSummary(
        one_line(node.metadata.name),
        one_line(node.status.info.kubelet),
        one_line(node.status.info.runtime),
        gpus,
        {name: _amount(name, free[name].free) for name in _SHOWN if name in free},
        image_volumes(node.status.info.kubelet),
        tuple(_taint_text(item) for item in node.spec.taints),
    )


def image_volumes(kubelet: str) -> str:
    """Return whether a node of this version mounts images as volumes: yes, with feature gate, no.

    https://kubernetes.io/docs/concepts/storage/volumes/#image
    """
    found = re.match(r"v?(\d{1,3})\.(\d{1,4})", kubelet)
    if found is None:
        return "unknown"
    version = int(found[1]), int(found[2])
    if version >= _IMAGE_VOLUMES:
        return "yes"
    return "with feature gate" if version >= _IMAGE_VOLUMES_WITH_GATE else "no"


def _readiness(node: Node) -> Finding:
    ready = [item for item in node.status.conditions if item.type == "Ready"]
    system = node.status.info.system
    faults = []
    if not ready or ready[0].status != "True":
        faults.append(f"not ready: {one_line(ready[0].message if ready else 'unknown')[:200]}")
    if node.spec.unschedulable:
        faults.append("cordoned")
    if system not in {"", "linux"}:
        faults.append(f"runs {one_line(system)}")
    return _finding(
        "NODE_NOT_READY",
        "; ".join(faults) or "ready",
        "ready, not cordoned, Linux",
        "whether the node takes pods",
        fits=not faults,
    )


def _tainted(node: Node, needs: PodNeeds) -> Finding | None:
    hindering = [item for item in node.spec.taints if item.effect in _HINDERING]
    # A cordon is a taint, too, and is another finding.
    hindering = [item for item in hindering if not item.key.startswith("node.kubernetes.io/")]
    kept = [item for item in hindering if not _tolerated(item, needs)]
    if not hindering:
        return None
    wanted = ", ".join(
        f"{{key: {one_line(item.key)}, operator: Exists, effect: {item.effect}}}" for item in kept
    )
    found = _finding(
        "NODE_TAINTED",
        ", ".join(_taint_text(item) for item in hindering),
        "a toleration for each",
        "taints",
        fits=not kept,
    )
    fix = f"add to deploy.yaml: tolerations: [{wanted}]; or use another node"
    return replace(found, fix=fix) if kept else found


def _tolerated(taint: Taint, needs: PodNeeds) -> bool:
    # The renderer tolerates the taint of nodes with GPUs for a kit that uses some.
    own = ({"key": GPU, "operator": "Exists"},) if needs.gpus else ()
    for item in (*needs.tolerations, *own):
        key, operator = item.get("key"), item.get("operator", "Equal")
        if key is not None and key != taint.key:
            continue
        if item.get("effect") not in {None, taint.effect}:
            continue
        if operator == "Exists" or item.get("value", "") == taint.value:
            return True
    return False


def _requested(free: Mapping[str, Free], needs: PodNeeds) -> Finding:
    wanted = {"memory": Decimal(needs.memory_bytes), "cpu": needs.cpus}
    if needs.gpus:
        wanted[needs.gpu_resource] = Decimal(needs.gpus)
    nothing = Free(Decimal(0), Decimal(0))
    short = [name for name, amount in wanted.items() if free.get(name, nothing).free < amount]
    shown = short or list(wanted)
    measured = ", ".join(
        f"{_amount(name, free.get(name, nothing).free)} of"
        f" {_amount(name, free.get(name, nothing).total)}"
        for name in shown
    )
    required = ", ".join(_amount(name, wanted[name]) for name in shown)
    return _finding(
        "NODE_RESOURCES",
        f"{measured} free",
        required,
        "resources that no pod has requested",
        fits=not short,
    )


def _volumes(node: Node, needs: PodNeeds) -> Finding | None:
    if not needs.image_volume:
        return None
    kubelet = node.status.info.kubelet
    able = image_volumes(kubelet)
    found = _finding(
        "NODE_IMAGE_VOLUMES",
        f"{one_line(kubelet)}: {able}",
        "1.36, or 1.33 with the feature gate ImageVolume",
        "image volumes",
        fits=able != "no",
    )
    doubtful = able in {"with feature gate", "unknown"}
    return replace(found, severity=Severity.WARNS) if doubtful else found


def _finding(code: str, measured: str, required: str, message: str, *, fits: bool) -> Finding:
    return Finding(
        code=code,
        severity=Severity.PASSES if fits else Severity.BLOCKS,
        measured=measured,
        required=required,
        message=message,
        rule="the scheduler places the pod on the node",
        source=_SOURCE,
    )


_SHOWN = ("cpu", "memory", "ephemeral-storage", GPU)


def _amount(name: str, amount: Decimal) -> str:
    if name in {"memory", "ephemeral-storage"}:
        words = "disk" if name == "ephemeral-storage" else "memory"
        return f"{show_size(int(amount))} {words}"
    plain = f"{amount.normalize():f}"
    return f"{plain} CPUs" if name == "cpu" else f"{plain} {name}"


def _taint_text(item: Taint) -> str:
    value = f"={item.value}" if item.value else ""
    return one_line(f"{item.key}{value}:{item.effect}")
