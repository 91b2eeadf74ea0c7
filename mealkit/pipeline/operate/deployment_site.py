"""This machine as a deployment sees it: its container clients, and what makes a front."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mealkit.containers.container import Restart
from mealkit.deploy.deployment import Deployment
from mealkit.errors import failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import ContainerClient, clients
from mealkit.pipeline.operate.revision_containers import Ground
from mealkit.pipeline.operate.traffic_front import Front
from mealkit.progress import Progress

MakeFront = Callable[[ContainerClient, Deployment, Progress], Front]


@dataclass(frozen=True, slots=True)
class Site:
    """The clients of a machine, the maker of fronts, and who is told about the progress."""

    home: Home
    clients: Sequence[ContainerClient]
    make_front: MakeFront
    progress: Progress

    def ground(self, deployment: Deployment) -> Ground:
        """Return where a deployment's revisions run.

        Raises:
            ContainerError: its container client cannot be used now.
        """
        from mealkit.containers.select import choose

        client = choose(self.clients, deployment.client)
        front = self.make_front(client, deployment, self.progress)
        return Ground(deployment.id, self.home, client, front, self.progress)


def this_site(home: Home, progress: Progress) -> Site:
    """Return this machine."""

    def make_front(client: ContainerClient, deployment: Deployment, progress: Progress) -> Front:
        return _front(client, deployment, home, progress)

    return Site(home, clients(home), make_front, progress)


def _front(
    client: ContainerClient, deployment: Deployment, home: Home, progress: Progress
) -> Front:
    """Return the front of a deployment: a socket in the sandbox, a proxy in docker or podman.

    Raises:
        ContainerError: ``CLIENT_REFUSED``, the client can have none.
    """
    from mealkit.containers.docker import DockerClient
    from mealkit.containers.front_spec import FrontSpec
    from mealkit.containers.sandbox import Sandbox
    from mealkit.containers.sandbox_front import SandboxFront
    from mealkit.pipeline.image.front_image import open_front

    spec = FrontSpec(
        deployment.name,
        deployment.address,
        deployment.port,
        network=f"mealkit-net-{deployment.name}",
        restart=Restart(deployment.restart),
    )
    match client:
        case DockerClient():
            return open_front(client, spec, home, progress)
        case Sandbox():
            return SandboxFront(client, spec, home.fronts / spec.name)
        case _:
            message = f"{client.name} cannot keep the address of a deployment"
            raise failure("CLIENT_REFUSED", message, hint="use --client docker, or mealkit run")
