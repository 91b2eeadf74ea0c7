"""What runs of a deployment in a Swarm, its history, and what applying it again would change."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mealkit.clusters.swarm_nodes import nodes_of
from mealkit.clusters.swarm_tasks import ENDED, Task, tasks_of
from mealkit.deploy.swarm_service import Revision, network_name, service_spec
from mealkit.deploy.workload import Workload
from mealkit.errors import Problem
from mealkit.pipeline.cluster.swarm_apply import (
    attach,
    difference,
    published,
    require_ours,
    swarm,
)
from mealkit.pipeline.cluster.swarm_history import Past, history, number_of
from mealkit.pipeline.cluster.swarm_watch import unscheduled

if TYPE_CHECKING:
    from datetime import datetime

_SHOWN_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Status:
    """A deployment as it is now."""

    name: str
    revision: int
    wanted: int
    """How many replicas there should be."""
    running: int
    """How many are healthy."""
    update: str
    """The state of the last update, as Swarm states it; "" before the first one."""
    published: str | None
    network: str
    tasks: tuple[Task, ...]
    """The replicas, and the last ones that failed."""
    nodes: dict[str, str]
    """The names of the tasks' nodes, by id."""
    waiting: Problem | None
    """Why a replica waits for a node."""
    past: tuple[Past, ...]
    """The revisions, the newest first."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "revision": self.revision,
            "replicas": {"wanted": self.wanted, "running": self.running},
            "update": self.update,
            "published": self.published,
            "network": self.network,
            "waiting": self.waiting and self.waiting.message,
            "tasks": [
                {
                    "id": task.id,
                    "node": self.nodes.get(task.node, ""),
                    "revision": task.revision,
                    "state": task.state,
                    "error": task.error,
                    "exit_code": task.exit_code,
                }
                for task in self.tasks
            ],
            "history": [past_as_json(item) for item in self.past],
        }


def past_as_json(item: Past) -> dict[str, Any]:
    """Return the JSON form of a revision."""
    revision, outcome = item.revision, item.outcome
    failed = outcome is not None and not outcome.passed
    return {
        "revision": revision.number,
        "state": item.state,
        "kit": revision.kit,
        "recipe": revision.recipe,
        "image": revision.image,
        "who": revision.who,
        "when": revision.when,
        "why": revision.why,
        "failure": {
            "gate": outcome.gate,
            "code": outcome.code,
            "owner": outcome.owner,
            "message": outcome.message,
        }
        if outcome is not None and failed
        else None,
    }


def swarm_status(name: str) -> Status:
    """Return the state of a deployment.

    Raises:
        DeploymentError: ``CLUSTER_NOT_DEPLOYED``.
    """
    with swarm(f"read the state of {name}") as sdk:
        service = require_ours(sdk, name)
        tasks = tasks_of(sdk, name)
        present = [task for task in tasks if task.state not in ENDED]
        failed = [task for task in tasks if task.is_failed][:_SHOWN_FAILURES]
        return Status(
            name=name,
            revision=number_of(service),
            wanted=service.spec["Mode"]["Replicated"]["Replicas"],
            running=sum(task.is_running for task in tasks),
            update=service.update_state,
            published=published(service.spec),
            network=network_name(name),
            tasks=(*present, *failed),
            nodes={node.id: node.name for node in nodes_of(sdk)},
            waiting=unscheduled(tasks),
            past=tuple(history(sdk, name, service)),
        )


def swarm_difference(workload: Workload, keys: bytes | None, now: "datetime") -> list[str]:
    """Return what applying a deployment would change, a line for each field.

    Raises:
        DeploymentError: ``CLUSTER_NOT_DEPLOYED``.
    """
    name = workload.name
    with swarm(f"compare {name}") as sdk:
        service = require_ours(sdk, name)
        past = history(sdk, name, service)
        revision = Revision.of(workload, number_of(service), "", "", now)
        spec = service_spec(workload, revision, attach(sdk, workload, keys, service, dry=True))
        return difference(past, service, spec)
