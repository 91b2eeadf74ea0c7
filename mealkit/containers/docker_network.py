"""A separate network for each kit in docker and podman, which is removed with its container.

On the engine's common network, every other container could call a kit that is published on loopback
and therefore requires no keys. Engines isolate networks from each other. A kit that fetches nothing
cannot reach the outside: its packets keep an address to which no answer returns. podman ignores the
options, and isolates these networks from each other, but not from its default network. Networks
that mealkit did not create are never removed.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mealkit.containers.container import LABEL_RUN, RunSpec

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container
    from docker.models.networks import Network

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


def join_network(
    client: "docker.DockerClient", name: str, container: "Container", alias: str
) -> None:
    """Let a container also join an existing network, in which it is found by an alias."""
    client.networks.get(name).connect(container, aliases=[alias])


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
    shortened = re.sub(r"(\.\d{6})\d+", r"\1", stamp)
    return datetime.fromisoformat(shortened).timestamp()


def _remove(network: "Network") -> None:
    import docker.errors  # noqa: PLC0415

    with suppress(docker.errors.APIError):
        network.remove()


def _labels(network: "Network") -> dict[str, str]:
    return network.attrs.get("Labels") or {}
