"""The front of a deployment in docker and podman: HAProxy, in an image that mealkit makes."""

from dataclasses import dataclass

from mealkit.containers.container import Restart
from mealkit.containers.docker import DockerClient
from mealkit.containers.front import Front as Haproxy
from mealkit.containers.front_control import Totals
from mealkit.containers.front_spec import FrontSpec
from mealkit.deploy.deployment import Deployment
from mealkit.errors import failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.front_image import loaded_front
from mealkit.pipeline.machine.clients import ContainerClient
from mealkit.pipeline.operate.traffic_front import Front
from mealkit.progress import Progress


def engine_front(
    client: ContainerClient, deployment: Deployment, home: Home, progress: Progress
) -> Front:
    """Return the front of a deployment.

    Raises:
        ContainerError: ``CLIENT_REFUSED``, the client cannot run one.
    """
    if not isinstance(client, DockerClient):
        message = f"{client.name} cannot keep the address of a deployment"
        raise failure("CLIENT_REFUSED", message, hint="use --client docker, or mealkit run")
    spec = FrontSpec(
        deployment.name,
        deployment.address,
        deployment.port,
        network=f"mealkit-net-{deployment.name}",
        restart=Restart(deployment.restart),
    )
    return _EngineFront(
        client, spec, Haproxy(client, spec, home.fronts / spec.name), home, progress
    )


@dataclass(frozen=True, slots=True)
class _EngineFront:
    """Adds the image, which is loaded when the front is started."""

    client: DockerClient
    spec: FrontSpec
    haproxy: Haproxy
    home: Home
    progress: Progress

    @property
    def network(self) -> str:
        return self.spec.network

    def ensure(self) -> None:
        self.haproxy.ensure(loaded_front(self.client, self.home, self.progress))

    def route(self, target: str | None) -> None:
        self.haproxy.route(target)

    def is_serving(self, target: str) -> bool:
        return self.haproxy.is_serving(target)

    def sessions(self, target: str) -> int:
        return self.haproxy.sessions(target)

    def totals(self, target: str) -> Totals:
        return self.haproxy.totals(target)

    def remove(self) -> None:
        self.haproxy.remove()
