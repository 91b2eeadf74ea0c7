"""The tasks of a Swarm service as typed values, and the logs of their containers.

A task is one container of a service on one node; Swarm replaces an ended task by a new one. Its
errors are texts of the node's engine, and its log is a text of the kit: both are untrusted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mealkit.names import one_line

if TYPE_CHECKING:
    import docker

LABEL_REVISION = "dev.mealkit.revision"
"""The label of a service and of its containers with the number of the revision."""

# https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/
WAITING = frozenset({"new", "pending", "assigned", "accepted", "preparing", "ready", "starting"})
FAILED = frozenset({"failed", "rejected", "orphaned"})
ENDED = FAILED | {"complete", "shutdown", "remove"}

_MOST_TASKS = 2000
_MOST_LOG_BYTES = 8 * 1024 * 1024
_TEXT = 500


@dataclass(frozen=True, slots=True)
class Task:
    """One container of a service, as Swarm describes it."""

    id: str
    slot: int
    """The replica that it is; several tasks follow each other in a slot."""
    node: str
    """The node's id; "" as long as no node is chosen."""
    state: str
    desired: str
    image: str
    revision: int
    created: str
    """When it was created, in the engine's form of RFC 3339: such texts sort by time."""
    message: str
    error: str
    exit_code: int | None
    """The exit code of its container; None: it did not run, or has not ended."""
    container: str = ""
    """The id of its container on the node."""

    @property
    def is_running(self) -> bool:
        """Whether it answers: with a health check, a task runs when its container is healthy."""
        return self.state == "running" and self.desired == "running"

    @property
    def is_failed(self) -> bool:
        """Whether it ended without being told to."""
        return self.state in FAILED or (self.state == "complete" and bool(self.exit_code))


def api_of(sdk: "docker.DockerClient") -> Any:
    """Return the SDK's lower half, whose published types lack most of Swarm."""
    return sdk.api


def tasks_of(sdk: "docker.DockerClient", service: str) -> list[Task]:
    """Return the tasks of a service, newest first; Swarm keeps some of the ended ones."""
    found = api_of(sdk).tasks(filters={"service": service})[:_MOST_TASKS]
    return sorted(map(task_of, found), key=lambda task: (task.created, task.id), reverse=True)


def task_of(form: Mapping[str, Any]) -> Task:
    """Read a task from the form of the engine's API."""
    status, spec = _object(form, "Status"), _object(form, "Spec")
    container = _object(spec, "ContainerSpec")
    ended = _object(status, "ContainerStatus")
    state = _text(status.get("State"))
    return Task(
        id=_text(form.get("ID")),
        slot=_number(form.get("Slot")),
        node=_text(form.get("NodeID")),
        state=state,
        desired=_text(form.get("DesiredState")),
        image=_text(container.get("Image")),
        revision=_number(_object(container, "Labels").get(LABEL_REVISION)),
        created=_text(form.get("CreatedAt")),
        message=_text(status.get("Message")),
        error=_text(status.get("Err")),
        # The engine writes 0 for a container that never ran.
        container=_text(ended.get("ContainerID")),
        exit_code=_number(ended.get("ExitCode"))
        if state in ENDED and ended.get("ContainerID")
        else None,
    )


def is_out_of_memory(sdk: "docker.DockerClient", task: Task) -> bool:
    """Return whether the kernel ended a task's container because of its memory limit.

    Swarm does not state it, so the container is asked, which only works on this engine's node.
    """
    import docker.errors  # noqa: PLC0415

    if not task.container:
        return False
    try:
        found = api_of(sdk).inspect_container(task.container)
    except docker.errors.APIError:
        return False
    return bool((found.get("State") or {}).get("OOMKilled"))


def task_log(sdk: "docker.DockerClient", service: str, task: str, tail: int) -> list[str]:
    """Return the last lines that a task's container wrote.

    Swarm has one log for a service; each line states its task.
    """
    chunks = api_of(sdk).service_logs(
        service, details=True, stdout=True, stderr=True, tail=tail, is_tty=False
    )
    return _of_task(chunks, task)[-tail:]


def task_output(sdk: "docker.DockerClient", service: str, task: str) -> str:
    """Return what a task's container wrote to its standard output."""
    chunks = api_of(sdk).service_logs(service, details=True, stdout=True, is_tty=False)
    return "\n".join(_of_task(chunks, task))


def _of_task(chunks: Iterator[bytes], task: str) -> list[str]:
    found = []
    for line in _lines(chunks):
        head, _, text = line.partition(" ")
        if f"com.docker.swarm.task.id={task}" in head.split(","):
            found.append(text)
    return found


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    held, left = b"", _MOST_LOG_BYTES
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            return
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")


def _object(form: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = form.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str:
    return one_line(str(value))[:_TEXT] if value is not None else ""


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
