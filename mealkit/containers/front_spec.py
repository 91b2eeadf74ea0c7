"""What a deployment asks of its front: the address to publish, and the network of its revisions.

Raises an error for names and ports that no engine can use.
"""

from dataclasses import dataclass

from mealkit.containers.container import CONTAINER_NAME, Restart
from mealkit.errors import failure

LABEL_FRONT = "dev.mealkit.front"
"""The deployment that a front's container and networks belong to."""


@dataclass(frozen=True, slots=True)
class FrontSpec:
    """The front of the deployment ``name``.

    ``host_port`` 0 means any free port, which then stays. ``network`` is created with the front;
    revisions join it (``RunSpec.network``).
    """

    name: str
    host_address: str
    host_port: int
    network: str
    restart: Restart = Restart.NO

    def __post_init__(self) -> None:
        """Raise for names and ports that cannot be used."""
        for name in (self.container, self.network):
            if not CONTAINER_NAME.fullmatch(name):
                raise failure("USAGE", f"{name!r} cannot name a container or a network")
        if not 0 <= self.host_port <= 65535:
            raise failure("USAGE", f"port {self.host_port} is not between 0 and 65535")

    @property
    def container(self) -> str:
        """The name of the front's container."""
        return f"mealkit-front-{self.name}"
