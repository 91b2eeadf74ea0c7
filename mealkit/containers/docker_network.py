"""A separate network for each kit in docker and podman, which is removed with its container.

On the engine's common network, every other container could call a kit that is published on loopback
and therefore requires no keys. Engines isolate networks from each other. A kit that fetches nothing
cannot reach the outside: its packets keep an address to which no answer returns. podman ignores the
options, and isolates these networks from each other, but not from its default network. Networks
that mealkit did not create are never removed.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mealkit.containers.container import LABEL_RUN, RunSpec
from mealkit.errors import failure

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container
    from docker.models.networks import Network

_SUBNET_TRIES = 5
_ADDRESS_TRIES = 64
# Gateways, broadcast, and the front itself, whose address the engine chooses: the first free one.
_OTHER_ADDRESSES = 16

# Starting the container of a network never takes this long.
_LEFT_SECONDS = 3600


@contextmanager
def network_for(client: "docker.DockerClient", spec: RunSpec) -> Iterator[str]:
    """Create a network for a kit, and yield its name; it is removed if the block fails."""
    # The name is new: with an existing name, the kit would join another container's network.
    network = client.networks.create(
        f"mealkit-{spec.name}-{secrets.token_hex(4)}",
        driver="bridge",
        labels={LABEL_RUN: spec.name},
        options={
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.bridge.enable_ip_masquerade": "true" if spec.fetches else "false",
        },
    )
    try:
        yield str(network.name)
    except BaseException:
        _remove(network)
        raise


def make_network(
    client: "docker.DockerClient", name: str, labels: dict[str, str], *, internal: bool
) -> None:
    """Create a network whose containers keep their addresses; an internal one has no way out.

    Engines accept chosen addresses only in a subnet that was stated. So the engine chooses one, and
    the network is created again with it.

    Raises:
        ContainerError: ``CLIENT_REFUSED``, the engine has no subnet left.
    """
    import docker.errors  # noqa: PLC0415
    from docker.types import IPAMConfig, IPAMPool  # noqa: PLC0415

    for left in range(_SUBNET_TRIES, 0, -1):
        # Under another name: a kill here must not leave a network that looks like the one wanted.
        trial = f"{name}-{secrets.token_hex(4)}"
        chosen = client.networks.create(trial, driver="bridge", internal=internal, labels=labels)
        chosen.reload()
        subnet = _subnet(chosen)
        chosen.remove()
        try:
            pools = [IPAMPool(subnet=str(subnet))]
            client.networks.create(
                name,
                driver="bridge",
                internal=internal,
                labels=labels,
                ipam=IPAMConfig(pool_configs=pools),
            )
        except docker.errors.APIError:
            if left == 1:
                raise
        else:
            return


def join_network(client: "docker.DockerClient", name: str, container: "Container") -> None:
    """Let a container also join a network of ``make_network``, with an address that stays.

    It follows from the container's name, so that no other one gets it later: callers must not reach
    another revision at the address of one that was stopped.
    """
    network = client.networks.get(name)
    subnet = _subnet(network)
    listed = client.api.containers(all=True, filters={"network": name})
    taken = {address_in(item, name) for item in listed}
    room = subnet.num_addresses - 2 * _OTHER_ADDRESSES
    for attempt in range(_ADDRESS_TRIES):
        seed = hashlib.sha256(f"{attempt} {container.name}".encode()).digest()
        number = _OTHER_ADDRESSES + int.from_bytes(seed[:8], "big") % room
        address = str(subnet[number])
        if address not in taken:
            network.connect(container, ipv4_address=address)
            return
    raise failure("CLIENT_REFUSED", f"the network {name} has no free address for {container.name}")


def address_in(attributes: Mapping[str, Any], network: str) -> str:
    """Return the address of a container in a network; empty if it has none, or has not joined."""
    joined = (attributes.get("NetworkSettings") or {}).get("Networks") or {}
    item = joined.get(network) or {}
    # The first is empty while the container does not run.
    return str(item.get("IPAddress") or (item.get("IPAMConfig") or {}).get("IPv4Address") or "")


def networks_of(client: "docker.DockerClient", attributes: dict[str, Any]) -> "list[Network]":
    """Return the networks that were created for a container, from its attributes."""
    import docker.errors  # noqa: PLC0415

    found = []
    joined = (attributes.get("NetworkSettings") or {}).get("Networks") or {}
    for name, item in joined.items():
        with suppress(docker.errors.NotFound):
            network = client.networks.get((item or {}).get("NetworkID") or name)
            if LABEL_RUN in _labels(network):
                found.append(network)
    return found


def remove_networks(networks: "list[Network]") -> None:
    """Remove networks, unless other containers have joined them."""
    for network in networks:
        _remove(network)


def remove_left(client: "docker.DockerClient", now_seconds: float) -> None:
    """Remove mealkit's networks whose container was removed by others, or never created."""
    labelled: dict[str, str | list[str] | bool] = {"label": LABEL_RUN}
    networks = client.networks.list(filters=labelled)
    if not networks:
        return
    containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
    running = {item.labels.get(LABEL_RUN) for item in containers}
    for network in networks:
        is_old = now_seconds - seconds_of(network.attrs["Created"]) > _LEFT_SECONDS
        if is_old and _labels(network).get(LABEL_RUN) not in running:
            _remove(network)


def seconds_of(stamp: str) -> float:
    """Read RFC 3339 with nine digits of a second, as the daemons write it; Python reads six."""
    if stamp.startswith("0001-"):  # a container that was never started
        return 0.0
    shortened = re.sub(r"(\.\d{6})\d+", r"\1", stamp)
    return datetime.fromisoformat(shortened).timestamp()


def _subnet(network: "Network") -> ipaddress.IPv4Network:
    """Return the first IPv4 subnet of a network."""
    for item in (network.attrs.get("IPAM") or {}).get("Config") or ():
        with suppress(ValueError, KeyError):
            return ipaddress.IPv4Network(item["Subnet"])
    raise failure("CLIENT_REFUSED", f"the network {network.name} has no IPv4 subnet")


def _remove(network: "Network") -> None:
    import docker.errors  # noqa: PLC0415

    with suppress(docker.errors.APIError):
        network.remove()


def _labels(network: "Network") -> dict[str, str]:
    return network.attrs.get("Labels") or {}
