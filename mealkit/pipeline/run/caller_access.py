"""Decides who may call a kit that runs here: local programs, or callers with a key.

Raises ContainerError if a kit would be reachable from other machines without keys.
"""

from collections.abc import Mapping
from pathlib import Path

from mealkit.addresses import is_loopback
from mealkit.containers.container import Mount
from mealkit.errors import failure
from mealkit.pipeline.run.api_keys import list_keys

_KEYS_PATH = "/run/mealkit-keys"


def access_of(
    address: str, keys: Path | None, origins: tuple[str, ...] = ()
) -> tuple[Mapping[str, str], tuple[Mount, ...]]:
    """Return the container's variables and mounts for an address that the port is published on.

    Pages of ``origins`` may call the kit from a browser.

    Inside its own network only the container client reaches the container. If the client publishes
    the port on loopback, no key is needed.

    Raises:
        ContainerError: ``KEYS_MISSING``, the address is not loopback and there are no keys.
        StoreError: the keys file cannot be read.
    """
    pages = {"MEALKIT_ORIGINS": ",".join(origins)} if origins else {}
    if keys is not None:
        if not list_keys(keys):
            raise failure("KEYS_MISSING", f"{keys} has no key", where=str(keys))
        mount = Mount(keys.resolve(), _KEYS_PATH)
        return {"MEALKIT_KEYS_FILE": _KEYS_PATH, **pages}, (mount,)
    if not is_loopback(address):
        raise failure(
            "KEYS_MISSING",
            f"other machines can reach {address}, and the kit has no API keys",
            where="--keys",
            hint="create a key: mealkit key new --file keys.txt, then run with --keys keys.txt",
        )
    return {"MEALKIT_AUTH": "off", **pages}, ()
