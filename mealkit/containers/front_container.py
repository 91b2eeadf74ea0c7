"""The container and the networks of a front, in Docker and podman.

In Docker it is in two networks: one for its published port, and that of the deployment, which has
no way out. Other containers can reach neither, unless they are revisions of the deployment.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.containers.docker_network import make_network
from mealkit.containers.docker_options import confined_security, is_podman
from mealkit.containers.front_config import (
    CONFIG_FOLDER,
    CONFIG_NAME,
    CONTROL_FOLDER,
    FRONT_PORT,
)
from mealkit.containers.front_spec import LABEL_FRONT, FrontSpec
from mealkit.errors import MealkitError, failure
from mealkit.paths import USER_ID

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container
    from docker.models.networks import Network

_LABEL_ADDRESS = "dev.mealkit.front.address"
# 4096 connections with two buffers of 72 KiB each, while a request and its answer are passed on.
_MEMORY_BYTES = 768 * 1024 * 1024
_PIDS_LIMIT = 64
# HAProxy ends after the requests that are being answered, but at the latest after 30 seconds.
_STOP_SIGNAL, _STOP_SECONDS = "SIGUSR1", 40
_START_TRIES = 20
_PAUSE_SECONDS = 0.1
_BEING_REMOVED = {404, 409}  # it is gone, or its name is still taken


def make_networks(client: "docker.DockerClient", spec: FrontSpec) -> None:
    """Create the networks of a front, unless they exist.

    Raises:
        DeploymentError: ``FRONT_FAILED``, another network has one of the names.
    """
    labels = {LABEL_FRONT: spec.name}
    port = port_network(client, spec)
    if not _exists(client, spec, spec.network):
        make_network(client, spec.network, labels, internal=port != spec.network)
    if not _exists(client, spec, port):
        client.networks.create(
            port,
            driver="bridge",
            labels=labels,
            options={
                "com.docker.network.bridge.enable_icc": "false",
                "com.docker.network.bridge.enable_ip_masquerade": "false",
            },
        )


def port_network(client: "docker.DockerClient", spec: FrontSpec) -> str:
    """Return the name of the network for the published port.

    podman 4 publishes a port in the last network of a container, so there it has only one.
    """
    return spec.network if is_podman(client) else f"{spec.network}-port"


def found(client: "docker.DockerClient", spec: FrontSpec) -> "Container | None":
    """Return the front's container, whatever its state is.

    Raises:
        DeploymentError: ``FRONT_FAILED``, another container has its name.
    """
    import docker.errors  # noqa: PLC0415

    try:
        theirs = client.containers.get(spec.container)
    except docker.errors.NotFound:
        return None
    if theirs.name != spec.container:
        return None  # the engine takes the first digits of an id for a name
    if theirs.labels.get(LABEL_FRONT) != spec.name:
        raise _taken(f"the container {spec.container}")
    return theirs


def started(
    client: "docker.DockerClient", spec: FrontSpec, image: Callable[[], str], folder: Path
) -> None:
    """Create and start the front's container, unless it runs.

    Raises:
        ContainerError: ``PORT_TAKEN``, and what the engine refuses.
        DeploymentError: ``FRONT_FAILED``, another container has its name.
    """
    import docker.errors  # noqa: PLC0415

    for left in range(_START_TRIES, 0, -1):
        try:
            _start(client, spec, image, folder)
        except docker.errors.APIError as error:
            # The engine may still be removing a container for a command that was killed.
            if error.status_code not in _BEING_REMOVED or left == 1:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _start(
    client: "docker.DockerClient", spec: FrontSpec, image: Callable[[], str], folder: Path
) -> None:
    theirs = found(client, spec)
    if theirs is not None and not _fits(client, theirs, spec):
        destroyed(theirs)
        theirs = None
    if theirs is None:
        theirs = _created(client, spec, image(), folder)
    elif theirs.attrs["HostConfig"]["RestartPolicy"]["Name"] != spec.restart.value:
        policy: Any = {"Name": spec.restart.value, "MaximumRetryCount": 0}
        theirs.update(restart_policy=policy)
    if theirs.status != "running":
        theirs.start()


def published_port(theirs: "Container") -> int:
    """Return the port that is published, from the request."""
    bindings = theirs.attrs["HostConfig"].get("PortBindings") or {}
    return next((int(item["HostPort"]) for items in bindings.values() for item in items), 0)


def destroyed(theirs: "Container") -> None:
    """Remove a container at once."""
    import docker.errors  # noqa: PLC0415

    with suppress(docker.errors.NotFound):
        theirs.remove(force=True, v=True)


def removed(client: "docker.DockerClient", spec: FrontSpec) -> None:
    """Remove the container and the networks of a front, as far as they exist."""
    theirs = found(client, spec)
    if theirs is not None:
        destroyed(theirs)
    for network in client.networks.list(filters={"label": f"{LABEL_FRONT}={spec.name}"}):
        network.remove()


def _fits(client: "docker.DockerClient", theirs: "Container", spec: FrontSpec) -> bool:
    """Return whether a container is as this front's must be; it may have an older image."""
    same_port = spec.host_port in {0, published_port(theirs)}
    same_address = theirs.labels.get(_LABEL_ADDRESS) == spec.host_address
    joined = theirs.attrs["NetworkSettings"]["Networks"]
    is_whole = {spec.network, port_network(client, spec)} <= set(joined)
    return same_port and same_address and is_whole


def _created(
    client: "docker.DockerClient", spec: FrontSpec, image: str, folder: Path
) -> "Container":
    """Create the container in its two networks."""
    port = spec.host_port or _free_port(spec.host_address)
    network = port_network(client, spec)
    made = client.api.create_container(
        image,
        ["-db", "-f", f"{CONFIG_FOLDER}/{CONFIG_NAME}"],
        name=spec.container,
        labels={LABEL_FRONT: spec.name, _LABEL_ADDRESS: spec.host_address},
        user=f"{USER_ID}:{USER_ID}",
        ports=[(str(FRONT_PORT), "tcp")],
        host_config=_host_config(client, spec, port, folder),
        networking_config={network: None},
        stop_signal=_STOP_SIGNAL,
        stop_timeout=_STOP_SECONDS,
    )
    theirs = client.containers.get(made["Id"])
    try:
        if network != spec.network:
            client.networks.get(spec.network).connect(theirs)
        theirs.start()
    except BaseException:
        destroyed(theirs)
        raise
    theirs.reload()
    return theirs


def _host_config(
    client: "docker.DockerClient", spec: FrontSpec, port: int, folder: Path
) -> dict[str, Any]:
    from docker.types import LogConfig, Mount  # noqa: PLC0415

    podman = is_podman(client)
    return client.api.create_host_config(
        port_bindings={f"{FRONT_PORT}/tcp": (spec.host_address, port)},
        network_mode=port_network(client, spec),
        restart_policy={"Name": spec.restart.value},
        mounts=[
            Mount(CONFIG_FOLDER, str((folder / "config").resolve()), type="bind", read_only=True),
            Mount(CONTROL_FOLDER, str((folder / "control").resolve()), type="bind"),
        ],
        read_only=True,
        cap_drop=["ALL"],
        security_opt=confined_security(client, podman=podman),
        pids_limit=_PIDS_LIMIT,
        mem_limit=_MEMORY_BYTES,
        memswap_limit=_MEMORY_BYTES,
        log_config=LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
    )


def _free_port(address: str) -> int:
    """Return a free port: one that the engine chooses would change with each start."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as door:
        try:
            door.bind((address, 0))
        except OSError as error:
            message = f"no port can be used at {address}: {error.strerror or error}"
            raise failure("CLIENT_REFUSED", message) from error
        return int(door.getsockname()[1])


def _exists(client: "docker.DockerClient", spec: FrontSpec, name: str) -> bool:
    """Return whether the front has a network."""
    network = _network(client, name)
    if network is not None and _labels(network).get(LABEL_FRONT) != spec.name:
        raise _taken(f"the network {name}")
    return network is not None


def _network(client: "docker.DockerClient", name: str) -> "Network | None":
    """Return the network with exactly this name; the engine also accepts parts of it."""
    listed = client.networks.list(names=[name])
    return next((network for network in listed if network.name == name), None)


def _labels(network: "Network") -> dict[str, str]:
    return network.attrs.get("Labels") or {}


def _taken(what: str) -> MealkitError:
    return failure(
        "FRONT_FAILED",
        f"{what} exists and is not of this deployment",
        hint="remove it, or choose another name for the deployment",
    )
