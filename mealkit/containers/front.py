"""The address of a deployment, which stays while its revisions change: HAProxy in a container.

The front publishes the port, and sends each request to the revision that ``route`` named last,
through a network of the deployment. Its configuration states the route for its next start; its
control socket changes the route of the running one, so that no connection of a caller moves.

Raises DeploymentError if the front does not start, or does not do what was asked.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.addresses import LOOPBACK, caller_address
from mealkit.containers.docker import DockerClient
from mealkit.containers.docker_connection import remote_host
from mealkit.containers.docker_network import address_in
from mealkit.containers.front_config import CONFIG_NAME, Route, Target, front_config, stated_route
from mealkit.containers.front_container import (
    found,
    make_networks,
    published_port,
    removed,
    started,
)
from mealkit.containers.front_control import NO_TOTALS, FrontControl, Slot, Totals
from mealkit.containers.front_spec import FrontSpec
from mealkit.errors import MealkitError, failure
from mealkit.files.locks import locked
from mealkit.files.whole import disk_errors, write_whole

if TYPE_CHECKING:
    import docker

_MOST_BYTES = 256 * 1024
_START_SECONDS = 20.0
_LOOK_SECONDS = 0.02
_LOG_LINES = 5


@dataclass(frozen=True, slots=True)
class FrontState:
    """A front as it is now."""

    is_running: bool
    address: str
    port: int
    """The published address; port 0 if there is no front."""
    stated: str | None
    """The target in its configuration, ``container:port``: it counts from its next start on."""


class Front:
    """The front of a deployment; ``folder`` is its own, for its configuration and its socket.

    Any number of processes may use it. Each method may be repeated after a kill at any point.
    """

    def __init__(
        self, client: DockerClient, spec: FrontSpec, folder: Path, image: Callable[[], str]
    ) -> None:
        """Prepare; ``image`` loads the front's image into the engine, and returns its id there."""
        self._client = client
        self._spec = spec
        self._folder = folder
        self._image = image
        self._control = FrontControl(folder / "control")

    @property
    def network(self) -> str:
        """The network that the revisions join."""
        return self._spec.network

    def ensure(self) -> FrontState:
        """Create and start the front and its networks, unless they are there.

        A front with another address or port is replaced, which ends its connections; one with an
        older image is not. The image is needed only to create the container.

        Raises:
            ContainerError: ``PORT_TAKEN``, ``CLIENT_REFUSED`` or ``CLIENT_UNAVAILABLE``.
            DeploymentError: ``FRONT_FAILED``.
        """
        with self._held(), self._client.connected(f"start {self._spec.container}") as client:
            self._require_local(client)
            with disk_errors(self._folder):
                (self._folder / "config").mkdir(exist_ok=True)
                (self._folder / "control").mkdir(exist_ok=True)
                # The container's user creates the socket; others cannot enter the folder above.
                (self._folder / "control").chmod(0o777)
            self._write(self._stated())
            make_networks(client, self._spec)
            started(client, self._spec, self._image, self._folder)
            self._wait(client)
            return self._state(client)

    def route(self, target: str | None) -> None:
        """Send all new requests to ``container:port``, or to none; running ones go on.

        First the configuration is written, then the running front is changed: after a kill between
        the two, the next call repeats the second.

        Raises:
            ContainerError: ``CONTAINER_NOT_FOUND``, the target does not run in the network.
            DeploymentError: ``FRONT_FAILED``, the front does not run, or does not answer.
        """
        with self._held():
            slots = self._control.slots()
            route = None if target is None else self._route_to(Target.parse(target), slots)
            self._write(route)
            if route:
                self._prepare(slots[route.slot], route)
            chosen = route.slot if route else None
            others = [slot.name for slot in slots.values() if slot.is_ready and slot.name != chosen]
            self._control.switch(chosen, others)
            self._require_ready([chosen] if chosen else [])

    def sessions(self, target: str) -> int:
        """Return how many requests a target is answering, or is about to get.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        return self.totals(target).sessions

    def totals(self, target: str) -> Totals:
        """Return what a target answered; nothing, if it never was the front's target.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        place = self._place_of(Target.parse(target))
        own = next((slot for slot in self._control.slots().values() if slot.place == place), None)
        return self._control.totals().get(own.name, NO_TOTALS) if own else NO_TOTALS

    def is_serving(self, target: str) -> bool:
        """Return whether the running front sends new requests to a target, and only to it.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        ready = [slot.place for slot in self._control.slots().values() if slot.is_ready]
        return ready == [self._place_of(Target.parse(target))]

    def state(self) -> FrontState:
        """Return whether it runs, its published address, and the target in its configuration.

        Raises:
            ContainerError: ``CLIENT_UNAVAILABLE``.
        """
        with self._client.connected(f"read the state of {self._spec.container}") as client:
            return self._state(client)

    def remove(self) -> None:
        """Remove the front, its networks and its route; what does not exist is skipped.

        Raises:
            ContainerError: ``CLIENT_REFUSED``, another container is in its network.
        """
        with self._held(), self._client.connected(f"remove {self._spec.container}") as client:
            removed(client, self._spec)
            with disk_errors(self._folder):
                for name in ("config", "control"):
                    if (self._folder / name).exists():
                        shutil.rmtree(self._folder / name)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with disk_errors(self._folder):
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            # Other users must not reach the control socket, which anyone may write to.
            self._folder.parent.chmod(0o700)
            self._folder.mkdir(exist_ok=True)
        with locked(self._folder / "lock"):
            yield

    def _require_local(self, client: "docker.DockerClient") -> None:
        host = remote_host(client)
        if host is not None:
            raise failure(
                "CLIENT_REFUSED",
                f"{self._client.name} runs on another machine ({host}), where the front cannot be"
                " controlled from here",
                hint="run the command on that machine",
            )

    def _stated(self) -> Route | None:
        try:
            with (self._folder / "config" / CONFIG_NAME).open("rb") as stream:
                return stated_route(stream.read(_MOST_BYTES).decode(errors="replace"))
        except OSError:
            return None

    def _write(self, route: Route | None) -> None:
        path = self._folder / "config" / CONFIG_NAME
        write_whole(path, front_config(route).encode(), mode=0o644)

    def _route_to(self, target: Target, slots: dict[str, Slot]) -> Route:
        """Return the route to a target: by its slot, else by a new one, else by the idlest."""
        address = self._address_of(target)
        if not address:
            raise failure(
                "CONTAINER_NOT_FOUND",
                f"{target.name} does not run in the network {self._spec.network}",
            )
        place = f"{address}:{target.port}"
        own = next((slot.name for slot in slots.values() if slot.place == place), None)
        if own is None:
            totals = self._control.totals()
            own = min(
                (slot for slot in slots.values() if not slot.is_ready),
                key=lambda slot: (
                    totals[slot.name].sessions,
                    not slot.is_new,
                    -slot.changed_seconds,
                ),
            ).name
        return Route(target, address, own)

    def _require_ready(self, wanted: list[str]) -> None:
        ready = [slot.name for slot in self._control.slots().values() if slot.is_ready]
        if ready != wanted:
            raise failure(
                "FRONT_FAILED",
                f"{self._spec.container} sends new requests to {', '.join(ready) or 'none'} of its"
                f" slots, expected {', '.join(wanted) or 'none'}",
            )

    def _prepare(self, slot: Slot, route: Route) -> None:
        if slot.place == f"{route.address}:{route.target.port}":
            return
        if not slot.is_new:
            self._control.begin_counting()  # its numbers are those of another revision
        self._control.prepare(slot.name, route.address, route.target.port)

    def _place_of(self, target: Target) -> str:
        return f"{self._address_of(target)}:{target.port}"

    def _address_of(self, target: Target) -> str:
        """Return a container's address in the network, which it keeps; empty if there is none."""
        import docker.errors  # noqa: PLC0415

        with self._client.connected(f"find {target.name}") as client:
            try:
                return address_in(client.containers.get(target.name).attrs, self._spec.network)
            except docker.errors.NotFound:
                return ""

    def _wait(self, client: "docker.DockerClient") -> None:
        """Wait until the front answers at its control socket."""
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._control.slots()
            except MealkitError as error:
                theirs = found(client, self._spec)
                if theirs is None or theirs.status == "exited" or time.monotonic() > end:
                    raise self._failed(client, error) from error
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def _failed(self, client: "docker.DockerClient", error: MealkitError) -> MealkitError:
        theirs = found(client, self._spec)
        said = theirs.logs(tail=_LOG_LINES).decode(errors="replace") if theirs else ""
        message = f"{self._spec.container} did not start: {error.problems[0].message}"
        return failure("FRONT_FAILED", "\n".join([message, *said.splitlines()[-_LOG_LINES:]]))

    def _state(self, client: "docker.DockerClient") -> FrontState:
        theirs = found(client, self._spec)
        stated = self._stated()
        return FrontState(
            is_running=theirs is not None and theirs.status == "running",
            address=caller_address(self._spec.host_address or LOOPBACK),
            port=published_port(theirs) if theirs else 0,
            stated=str(stated.target) if stated else None,
        )
