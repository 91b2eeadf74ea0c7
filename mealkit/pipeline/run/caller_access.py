"""Who may ask a kit that is run here: whoever reaches loopback, or whoever has a key.

Refuses to publish a kit without keys.
"""

from collections.abc import Mapping
from pathlib import Path

from mealkit.addresses import is_loopback
from mealkit.containers.container import Mount
from mealkit.errors import failure
from mealkit.pipeline.run.api_keys import list_keys

_KEYS_PATH = "/run/mealkit-keys"


def access_of(address: str, keys: Path | None) -> tuple[Mapping[str, str], tuple[Mount, ...]]:
    """Return the container's variables and mounts for an address that the port is published on.

    In its own network a container is asked by its client only, which publishes the port on
    loopback: there nobody else needs to be kept out.

    Raises:
        ContainerError: ``KEYS_MISSING``, the address is not loopback and there are no keys.
        StoreError: the file cannot be read.
    """
    if keys is not None:
        if not list_keys(keys):
            raise failure("KEYS_MISSING", f"{keys} has no key", where=str(keys))
        mount = Mount(keys.resolve(), _KEYS_PATH)
        return {"MEALKIT_KEYS_FILE": _KEYS_PATH}, (mount,)
    if not is_loopback(address):
        raise failure(
            "KEYS_MISSING",
            f"callers from outside could reach {address}, and no API key is known",
            where="--keys",
            hint="mealkit key new --file keys.txt, then run with --keys keys.txt",
        )
    return {"MEALKIT_AUTH": "off"}, ()
