"""The nodes of a Swarm: what each has, and what its tasks have reserved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mealkit.clusters.swarm_tasks import api_of
from mealkit.names import one_line

if TYPE_CHECKING:
    import docker

# The names of `uname -m`, by those of Go.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ENDED = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
_BILLION = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as its engine describes it."""

    id: str
    name: str
    state: str
    """ready, down, unknown or disconnected."""
    availability: str
    """active, pause or drain."""
    is_manager: bool
    architecture: str
    memory_bytes: int
    cpus: float
    generic: Mapping[str, int] = field(default_factory=dict)
    """The number of units of each generic resource, such as NVIDIA-GPU."""
    labels: Mapping[str, str] = field(default_factory=dict)
    reserved_bytes: int = 0
    """Memory that the tasks on it have reserved."""
    reserved_cpus: float = 0.0
    reserved_generic: Mapping[str, int] = field(default_factory=dict)

    @property
    def takes_tasks(self) -> bool:
        """Whether Swarm may start tasks on it."""
        return self.state == "ready" and self.availability == "active"

    @property
    def free_bytes(self) -> int:
        """Memory that no task has reserved."""
        return max(0, self.memory_bytes - self.reserved_bytes)


def nodes_of(sdk: "docker.DockerClient") -> list[Node]:
    """Return the nodes of the swarm, by name."""
    tasks = api_of(sdk).tasks()
    found = [
        _node(form, [item for item in tasks if item.get("NodeID") == form["ID"]])
        for form in api_of(sdk).nodes()
    ]
    return sorted(found, key=lambda node: (node.name, node.id))


def _node(form: Mapping[str, Any], tasks: list[Mapping[str, Any]]) -> Node:
    described, spec = form.get("Description") or {}, form.get("Spec") or {}
    platform, resources = described.get("Platform") or {}, described.get("Resources") or {}
    machine = str(platform.get("Architecture"))
    running = [
        ((task.get("Spec") or {}).get("Resources") or {}).get("Reservations") or {}
        for task in tasks
        if (task.get("Status") or {}).get("State") not in _ENDED
    ]
    return Node(
        id=form["ID"],
        name=one_line(str(described.get("Hostname")))[:100],
        state=str((form.get("Status") or {}).get("State")),
        availability=str(spec.get("Availability")),
        is_manager=spec.get("Role") == "manager",
        architecture=_ARCHITECTURES.get(machine, machine),
        memory_bytes=int(resources.get("MemoryBytes") or 0),
        cpus=int(resources.get("NanoCPUs") or 0) / _BILLION,
        generic=_units(resources),
        labels=spec.get("Labels") or {},
        reserved_bytes=sum(int(item.get("MemoryBytes") or 0) for item in running),
        reserved_cpus=sum(int(item.get("NanoCPUs") or 0) for item in running) / _BILLION,
        reserved_generic=_sum(map(_units, running)),
    )


def _units(resources: Mapping[str, Any]) -> dict[str, int]:
    """Count generic resources: a number of units, or names, of which each is one unit."""
    found: dict[str, int] = {}
    for item in resources.get("GenericResources") or ():
        discrete, named = item.get("DiscreteResourceSpec"), item.get("NamedResourceSpec")
        if discrete:
            found[discrete["Kind"]] = found.get(discrete["Kind"], 0) + int(discrete["Value"])
        elif named:
            found[named["Kind"]] = found.get(named["Kind"], 0) + 1
    return found


def _sum(parts: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for kind, number in part.items():
            found[kind] = found.get(kind, 0) + number
    return found
