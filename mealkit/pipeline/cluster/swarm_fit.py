"""Which nodes of a Swarm a deployment fits, each with the numbers; nothing is started."""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.clusters.swarm_nodes import Node
from mealkit.deploy.swarm_service import generic_resource
from mealkit.deploy.workload import Gpus, Workload
from mealkit.errors import Problem, failures, problem
from mealkit.units import show_size


@dataclass(frozen=True, slots=True)
class NodeFit:
    """How many replicas a node has space for, and why not for one more."""

    node: Node
    replicas: int
    limit: Problem | None
    """What is missing for the first replica; None if at least one fits."""


def fits(workload: Workload, nodes: Sequence[Node]) -> list[NodeFit]:
    """Return the fit of each node, by what its tasks have reserved."""
    return [_fit(workload, node) for node in nodes]


def require_nodes(workload: Workload, nodes: Sequence[Node], *, is_upgrade: bool) -> None:
    """Check that the swarm has a node for a replica.

    For an upgrade, what the running replicas have reserved counts as free, because Swarm replaces
    them one after the other.

    Raises:
        PreflightError: what is missing on each node, one problem for each.
    """
    found = fits(workload, nodes)
    if any(item.replicas for item in found) or workload.file.replicas == 0:
        return
    blocking = [item.limit for item in found if item.limit is not None]
    if is_upgrade and any(item.code == "NODE_RESOURCES" for item in blocking):
        return
    raise failures(blocking or [problem("SWARM_UNSCHEDULED", "the swarm has no nodes")])


def _fit(workload: Workload, node: Node) -> NodeFit:
    limit = _missing(workload, node)
    if limit is not None:
        return NodeFit(node, 0, limit)
    cpu = workload.file.resources.cpu
    counts = [
        node.free_bytes // max(1, workload.memory_bytes),
        int((node.cpus - node.reserved_cpus) / cpu + 1e-6),
    ]
    if workload.gpus is not None:
        kind = generic_resource(workload.gpus.resource)
        counts.append(_free_units(node, kind) // workload.gpus.count)
    return NodeFit(node, min(counts), None)


def _missing(workload: Workload, node: Node) -> Problem | None:
    name = f"node {node.name}"
    if not node.takes_tasks:
        measured = f"state {node.state}, availability {node.availability}"
        message = f"{name} does not take containers"
        return _problem("SWARM_UNSCHEDULED", message, measured, "ready, active")
    known = [item.value for item in workload.lock.requirements.architectures]
    if node.architecture not in known:
        message = f"{name} has another architecture than the image"
        return _problem("HOST_ARCHITECTURE", message, node.architecture, " or ".join(known))
    for key, value in sorted(workload.file.node_selector.items()):
        if node.labels.get(key) != value:
            said = f"{key}={node.labels[key]}" if key in node.labels else f"no label {key}"
            message = f"{name} does not have a label that deploy.yaml requires"
            return _problem("SWARM_UNSCHEDULED", message, said, f"{key}={value}")
    return _missing_resource(workload, node, name)


def _missing_resource(workload: Workload, node: Node, name: str) -> Problem | None:
    required = show_size(workload.memory_bytes)
    if node.memory_bytes < workload.memory_bytes:
        message = f"{name} has less memory than a replica needs"
        return _problem("HOST_MEMORY", message, show_size(node.memory_bytes), required)
    if node.free_bytes < workload.memory_bytes:
        message = f"other containers have reserved the memory of {name}"
        measured = f"{show_size(node.free_bytes)} of {show_size(node.memory_bytes)} free"
        return _problem("NODE_RESOURCES", message, measured, required)
    cpu, free = workload.file.resources.cpu, node.cpus - node.reserved_cpus
    if free + 1e-6 < cpu:
        message = f"other containers have reserved the CPUs of {name}"
        measured = f"{free:g} of {node.cpus:g} CPUs free"
        return _problem("NODE_RESOURCES", message, measured, f"{cpu:g} CPUs")
    return _missing_gpus(workload.gpus, node, name) if workload.gpus is not None else None


def _missing_gpus(gpus: Gpus, node: Node, name: str) -> Problem | None:
    kind = generic_resource(gpus.resource)
    if node.generic.get(kind, 0) < gpus.count:
        message = f"{name} states too few units of the generic resource {kind}"
        measured = f"{node.generic.get(kind, 0)} {kind}"
        return _problem("HW_GPU_COUNT", message, measured, f"{gpus.count} {kind}")
    if _free_units(node, kind) < gpus.count:
        message = f"other containers have reserved the GPUs of {name}"
        measured = f"{_free_units(node, kind)} of {node.generic[kind]} free"
        return _problem("NODE_RESOURCES", message, measured, str(gpus.count))
    return None


def _free_units(node: Node, kind: str) -> int:
    return node.generic.get(kind, 0) - node.reserved_generic.get(kind, 0)


def _problem(code: str, message: str, measured: str, required: str) -> Problem:
    return problem(code, message, measured=measured, required=required)
