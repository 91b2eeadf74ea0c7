"""This machine as a deployment sees it: its container clients, and what makes a front."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mealkit.deploy.deployment import Deployment
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
        return Ground(self.home, client, front, self.progress)


def this_site(home: Home, progress: Progress) -> Site:
    """Return this machine."""

    def make_front(client: ContainerClient, deployment: Deployment, progress: Progress) -> Front:
        from mealkit.pipeline.operate.engine_front import engine_front

        return engine_front(client, deployment, home, progress)

    return Site(home, clients(home), make_front, progress)
