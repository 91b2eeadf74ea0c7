"""The container engines that tests run on: Docker's daemon, and podman's service of two users."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from fakes.podman import Podman, podman_service
from mealkit.containers.docker import DockerClient

DOCKER_SOCKET = Path("/var/run/docker.sock")


def _podman(name: str) -> object:
    # Of each only one service is started, so its tests share a worker.
    return pytest.param(name, marks=[pytest.mark.podman, pytest.mark.xdist_group(name)])


PODMANS = (_podman("podman"), _podman("podman-rootless"))
ENGINES = (pytest.param("docker", marks=pytest.mark.docker), *PODMANS)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine; ``podman`` is None for Docker's."""

    name: str
    podman: Podman | None = None

    @property
    def socket(self) -> Path:
        return self.podman.socket if self.podman else DOCKER_SOCKET

    @property
    def client_name(self) -> str:
        return "podman" if self.podman else "docker"

    def client(self) -> DockerClient:
        """Return mealkit's client of this engine, chosen as the command line chooses it."""
        if self.podman is None:
            return DockerClient()
        return DockerClient.podman({"XDG_RUNTIME_DIR": str(self.podman.runtime)})

    def sdk(self) -> docker.DockerClient:
        """Open the engine by its SDK."""
        return docker.DockerClient(base_url=f"unix://{self.socket}", timeout=120)


@contextmanager
def engine_named(name: str) -> Iterator[Engine]:
    """Start an engine, unless it is Docker's, which runs already."""
    if name == "docker":
        yield Engine(name)
        return
    with podman_service(rootless=name == "podman-rootless") as podman:
        yield Engine(name, podman)
