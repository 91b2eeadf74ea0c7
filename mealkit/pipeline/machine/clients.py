"""The container clients of this machine, and the kits that run in them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from mealkit.containers.byte_connection import ByteConnection
from mealkit.containers.container import Container, Exit, Restart, RunSpec
from mealkit.containers.container_files import ContainerContents
from mealkit.deploy.deployment import LABEL_DEPLOYMENT, container_name
from mealkit.errors import MealkitError, failure
from mealkit.pipeline.deployment_files import DeploymentFiles, deployment_names
from mealkit.pipeline.home import Home


class ContainerClient(Protocol):
    """Starts, lists, reads and stops containers."""

    @property
    def name(self) -> str:
        """The name of the client."""
        ...

    def available(self) -> str | None:
        """Return the reason why this client cannot be used here; None if it can."""
        ...

    def limits(self) -> tuple[str, ...]:
        """Return notes about what this client does not isolate."""
        ...

    def start(self, spec: RunSpec) -> Container:
        """Start a container."""
        ...

    def list(self) -> list[Container]:
        """List the containers that mealkit started here."""
        ...

    def state(self, name: str) -> Container:
        """Read the state of one container again."""
        ...

    def connection(self, name: str, seconds: float) -> ByteConnection:
        """Return a connection to a kit that has no port of this machine."""
        ...

    def process(self, name: str) -> int | None:
        """Return the number of its first process on this machine; None if it is not known."""
        ...

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield the log's lines."""
        ...

    def contents(self, name: str) -> AbstractContextManager[ContainerContents]:
        """Open the files of a container, and those that are mounted into it."""
        ...

    def stop(self, name: str, timeout_seconds: int) -> Exit:
        """Stop a container; its log stays."""
        ...

    def set_restart(self, name: str, policy: Restart) -> None:
        """Change when a container is started again without a command, if the client can do it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a container and its log."""
        ...


def running_kits(home: Home) -> list[Container]:
    """List the containers that mealkit started on this machine, from every working client.

    DOCKER_HOST may point to podman's socket, so that two clients list the same containers.
    """
    found: dict[str, Container] = {}
    for client in _working(home):
        for item in client.list():
            found.setdefault(item.id, item)
    return sorted(found.values(), key=lambda item: (item.name, item.client))


def read_logs(name: str, *, follow: bool, tail: int | None, home: Home) -> Iterator[str]:
    """Yield the log lines of a running or ended kit.

    A deployment's name stands for the revision that has the traffic.

    Raises:
        ContainerError: no kit with this name runs here (``CONTAINER_NOT_FOUND``).
    """
    name = container_meant_by(name, home)
    return client_of(name, home).logs(name, follow=follow, tail=tail)


def stop_kit(name: str, *, timeout_seconds: int | None, home: Home) -> Exit:
    """Stop a kit, waiting for its running requests, and remove it.

    Raises:
        ContainerError: no kit with this name runs here (``CONTAINER_NOT_FOUND``).
        DeploymentError: it is a deployment's, or a deployment (``DEPLOYMENT_PART``).
    """
    if _serving_container(name, home):
        raise _is_part(name, name)
    client = client_of(name, home)
    container = client.state(name)
    deployment = container.labels.get(LABEL_DEPLOYMENT)
    if deployment is not None and deployment in deployment_names(home):
        raise _is_part(name, deployment)
    seconds = int(container.labels.get("dev.mealkit.stop-seconds", "30"))
    ended = client.stop(name, seconds if timeout_seconds is None else timeout_seconds)
    client.remove(name)
    return ended


def container_meant_by(name: str, home: Home) -> str:
    """Return the name of a container; a deployment's name stands for the revision that serves."""
    return _serving_container(name, home) or name


def _serving_container(name: str, home: Home) -> str | None:
    """Return the container that has the traffic of a deployment; None: there is none of the name.

    The name of a container may be none that a deployment can have.
    """
    if name not in deployment_names(home):
        return None
    deployment = DeploymentFiles(home, name).required()
    serving = deployment.serving
    return None if serving is None else container_name(name, serving)


def _is_part(name: str, deployment: str) -> MealkitError:
    message = f"{name} belongs to the deployment {deployment}"
    return failure("DEPLOYMENT_PART", message, hint=f"mealkit down {deployment}")


def clients(home: Home) -> Sequence[ContainerClient]:
    """Return every container client, best first."""
    from mealkit.containers.docker import DockerClient
    from mealkit.containers.sandbox import Sandbox

    return (DockerClient(), DockerClient.podman(), Sandbox(home.runs))


def _working(home: Home) -> list[ContainerClient]:
    return [client for client in clients(home) if client.available() is None]


def is_running(name: str, home: Home) -> bool:
    """Return whether mealkit started a kit with this name here."""
    return any(item.name == name for item in running_kits(home))


def client_of(name: str, home: Home) -> ContainerClient:
    """Return the client that a kit was started with.

    Raises:
        ContainerError: no kit with this name runs here (``CONTAINER_NOT_FOUND``).
    """
    for client in _working(home):
        if any(item.name == name for item in client.list()):
            return client
    raise failure("CONTAINER_NOT_FOUND", f"no kit named {name!r} runs here")
