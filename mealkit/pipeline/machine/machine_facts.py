"""Describes a machine: its facts, and the container clients that could start a kit on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import ContainerClient, clients
from mealkit.preflight.container_client import Client
from mealkit.preflight.facts import Facts, read_facts

# A daemon that hangs must not delay the description of the machine.
_PATIENCE_SECONDS = 5


def host_facts(home: Home, paths: Sequence[Path] = ()) -> Facts:
    """Read the facts of this machine, with the free space where mealkit and its clients write."""
    found = container_clients(home)
    roots = [item.data_root for item in found if item.data_root]
    # Without duplicates, in this order.
    places = dict.fromkeys([*paths, home.root, *roots, Path("/")])
    return read_facts(tuple(places), clients=found)


def container_clients(home: Home) -> tuple[Client, ...]:
    """Describe every container client, best first, with the reason if it does not work."""
    return tuple(_describe(item) for item in clients(home))


def _describe(client: ContainerClient) -> Client:
    from mealkit.containers.docker import DockerClient

    if not isinstance(client, DockerClient):
        return Client(name=client.name, problem=client.available())
    try:
        with client.connected("answer", _PATIENCE_SECONDS) as sdk:
            told: dict[str, Any] = sdk.info()
            here = str(sdk.api.base_url).startswith("http+docker://local")
    except MealkitError as error:
        return Client(name=client.name, problem=error.problems[0].message)
    root = Path(str(told.get("DockerRootDir") or ""))
    return Client(
        name=client.name,
        problem=None,
        version=told.get("ServerVersion"),
        # The folder of a daemon in a virtual machine does not exist on this machine.
        data_root=root if here and root.is_absolute() and root.is_dir() else None,
        runtimes=tuple(sorted(told.get("Runtimes") or ())),
        cdi_folders=tuple(Path(item) for item in told.get("CDISpecDirs") or ()),
    )
