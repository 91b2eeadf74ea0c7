"""The tasks of a Swarm service as typed values, and the logs of their containers.

A task is one container of a service on one node; Swarm replaces an ended task by a new one. Its
errors are texts of the node's engine, and its log is a text of the kit: both are untrusted.
"""

import time
from collections.abc import Mapping
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
_CHUNK_BYTES = 64 * 1024
_FRAME_BYTES = 8
_SILENT_SECONDS = 5.0
_LOG_SECONDS = 20.0
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


def task_log(sdk: "docker.DockerClient", task: str, tail: int) -> list[str]:
    """Return the last lines that a task's container wrote; none if its node does not answer."""
    return _written(sdk, task, {"stdout": "1", "stderr": "1", "tail": str(tail)})[-tail:]


def task_output(sdk: "docker.DockerClient", task: str) -> str:
    """Return what a task's container wrote to its standard output."""
    return "\n".join(_written(sdk, task, {"stdout": "1"}))


def _written(sdk: "docker.DockerClient", task: str, wanted: Mapping[str, str]) -> list[str]:
    """Read the log of a task's container, as far as it comes in time.

    A manager never ends the log of a container that its node has removed meanwhile, and the SDK
    reads logs without a timeout. So the request is made without the SDK's own function.
    """
    import requests  # noqa: PLC0415  the SDK passes on its errors
    import urllib3.exceptions  # noqa: PLC0415

    api = api_of(sdk)
    url = f"{api.base_url}/v{api.api_version}/tasks/{task}/logs"
    data, deadline = b"", time.monotonic() + _LOG_SECONDS
    try:
        with api.get(url, params=wanted, timeout=_SILENT_SECONDS, stream=True) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(_CHUNK_BYTES):
                data += chunk
                if len(data) > _MOST_LOG_BYTES or time.monotonic() > deadline:
                    break
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        pass  # what has come is the best that is known
    return [line.rstrip("\r") for line in _payload(data).decode(errors="replace").split("\n")][:-1]


def _payload(data: bytes) -> bytes:
    """Return the content of the engine's frames: a stream's number, three zeros, a length."""
    found, at = [], 0
    while at + _FRAME_BYTES <= len(data):
        size = int.from_bytes(data[at + 4 : at + _FRAME_BYTES])
        found.append(data[at + _FRAME_BYTES : at + _FRAME_BYTES + size])
        at += _FRAME_BYTES + size
    return b"".join(found)


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
