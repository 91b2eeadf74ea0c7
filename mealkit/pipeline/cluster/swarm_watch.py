"""Watches a Swarm service until its new revision runs, fails, or was rolled back.

A task that failed becomes a problem with an owner: the problem that its container stated in its
log, or what the error of the node's engine means.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from mealkit.clusters.swarm_services import Service, find_service
from mealkit.clusters.swarm_tasks import WAITING, Task, is_out_of_memory, task_log, tasks_of
from mealkit.containers.container import Exit
from mealkit.errors import Problem, problem
from mealkit.pipeline.run.readiness import LOG_LINES, Trust, problem_of_end
from mealkit.progress import Progress
from mealkit.units import show_size

if TYPE_CHECKING:
    import docker

_POLL_SECONDS = 0.25
_MANY = 2
# The texts of Swarm's scheduler and of the nodes' engines (moby 20.10 to 28).
_KNOWN = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"no suitable node|insufficient resources|no node matched", "SWARM_UNSCHEDULED"),
        (r"no such image|pull access denied|manifest unknown|not found: manifest", "SWARM_IMAGE"),
        (r"image .* could not be accessed|error pulling|failed to resolve", "SWARM_IMAGE"),
        (r"port .* (already )?in use|address already in use", "PORT_TAKEN"),
        (r"secret .* not found|secret reference", "SWARM_SECRET"),
    )
)


class End(Enum):
    """How a change of a service ended."""

    DONE = "done"
    FAILED = "failed"
    """A task failed, and Swarm does not return to an older revision."""
    ROLLED_BACK = "rolled back"
    """Swarm has returned to the revision before."""
    NOT_IN_TIME = "not in time"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change of a service ended, and why."""

    end: End
    cause: Problem | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """The service to watch."""

    name: str
    revision: int
    replicas: int
    is_first: bool
    """Whether it has just been created, so that there is nothing to return to."""
    trust: Trust
    seconds: float
    """How long it may take."""
    needed_bytes: int | None = None
    """The memory that the kit's lock states; None: unknown."""


def watch(sdk: "docker.DockerClient", watched: Watched, progress: Progress) -> Outcome:
    """Wait for the end of a change; every new state is reported."""
    deadline = time.monotonic() + watched.seconds
    told, cause = "", None
    while time.monotonic() < deadline:
        service, tasks = find_service(sdk, watched.name), tasks_of(sdk, watched.name)
        if service is None:
            return Outcome(End.FAILED, _removed(watched.name))
        mine = [task for task in tasks if task.revision == watched.revision]
        cause = cause or cause_of(sdk, watched, mine)
        end = _end_of(service, mine, watched, cause)
        if end is not None:
            return Outcome(end, cause)
        state = _state_of(mine, watched, service)
        if state != told:
            progress.phase(state)
            told = state
        time.sleep(_POLL_SECONDS)
    return Outcome(End.NOT_IN_TIME, cause or _late(watched, told))


def _end_of(
    service: Service, mine: Sequence[Task], watched: Watched, cause: Problem | None
) -> End | None:
    if watched.is_first:
        running = sum(task.is_running for task in mine)
        if cause is not None:
            return End.FAILED
        return End.DONE if running >= watched.replicas else None
    match service.update_state:
        case "completed":
            return End.DONE
        case "rollback_completed":
            return End.ROLLED_BACK
        case "paused" | "rollback_paused":
            return End.FAILED
        case _:
            return None


def _state_of(mine: Sequence[Task], watched: Watched, service: Service) -> str:
    running = sum(task.is_running for task in mine)
    said = f"revision {watched.revision}: {running} of {watched.replicas} run"
    waiting = next((task for task in mine if task.state in WAITING), None)
    if service.update_state.startswith("rollback"):
        return f"{said}; Swarm returns to the revision before"
    if waiting is None:
        return said
    # The reason for waiting is an error only if the scheduler finds no node.
    reason = waiting.error or waiting.message
    return f"{said}, the next one is {waiting.state}" + (f": {reason}" if reason else "")


def cause_of(sdk: "docker.DockerClient", watched: Watched, tasks: Sequence[Task]) -> Problem | None:
    """Return why a task of a revision failed; None if none has failed."""
    failed = [task for task in tasks if task.is_failed]
    for task in failed:
        if task.exit_code is not None:
            return _ended(sdk, watched, task)
    return problem_of_task(failed[0]) if failed else None


def _ended(sdk: "docker.DockerClient", watched: Watched, task: Task) -> Problem:
    how = Exit.of_code(task.exit_code or 0, out_of_memory=is_out_of_memory(sdk, task))
    limit, needed = watched.trust.memory_bytes, watched.needed_bytes
    if how.signal == "SIGKILL" and not how.out_of_memory and limit and needed and limit < needed:
        # Only the engine of its node knows why, and forgets it with the container.
        return problem(
            "HOST_MEMORY",
            f"a container of {watched.name} was killed, and its limit is below what the kit needs",
            measured=f"limit {show_size(limit)}",
            required=show_size(needed),
            where=f"task {task.id}",
        )
    lines = task_log(sdk, task.id, LOG_LINES)
    found = problem_of_end(lines, how, f"a container of {watched.name} {how}", watched.trust)
    return replace(found, where=found.where or f"task {task.id}")


def problem_of_task(task: Task) -> Problem:
    """Return the problem of a task whose container did not start."""
    for pattern, code in _KNOWN:
        if pattern.search(task.error):
            return problem(code, f"Swarm cannot start a container: {task.error}")
    said = task.error or task.message or task.state
    return problem("CONTAINER_FAILED", f"Swarm cannot start a container: {said}")


def unscheduled(tasks: Sequence[Task]) -> Problem | None:
    """Return why a task that waits cannot be placed; None if none waits for a node."""
    waiting = (task for task in tasks if task.state == "pending" and task.error)
    found = next(waiting, None)
    return problem_of_task(found) if found else None


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition is met; return whether it was met in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _removed(name: str) -> Problem:
    return problem("CLUSTER_NOT_DEPLOYED", f"the service {name} was removed in the meantime")


def _late(watched: Watched, told: str) -> Problem:
    return problem(
        "CONTAINER_TIMEOUT",
        told or f"{watched.name} has not started",
        measured=f"not ready after {watched.seconds:.0f} s",
        required=f"{watched.replicas} running",
        hint=f"docker service ps --no-trunc {watched.name}",
    )
