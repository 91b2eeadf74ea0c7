"""Lists the names of running kits in a moment, for the shell's completion.

Asks a daemon's Unix socket directly, because the import of its SDK takes longer than a person waits
for a name, and reads the records of sandboxes. Raises nothing: an engine that is silent, or on
another machine, has no names.
"""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mealkit.containers.container import LABEL_HOME, LABEL_RUN
from mealkit.containers.local_door import call_door
from mealkit.untrusted import UntrustedError, parse_json

_SECONDS = 0.1
_MAX_BYTES = 4 * 1024 * 1024
_UNIX = "unix://"


def running_names(
    state: Path, home_id: str, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Return the names of a home's kits that run; ``state`` is the folder of its sandboxes."""
    found = {path.parent.name for path in state.glob("*/record.json")}
    for path in _sockets(environment):
        found.update(_names_at(path, home_id))
    return sorted(found)


def _sockets(environment: Mapping[str, str]) -> Iterator[Path]:
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    docker = environment.get("DOCKER_HOST") or f"{_UNIX}/var/run/docker.sock"
    podman = environment.get("CONTAINER_HOST")
    usual = [f"{_UNIX}{runtime}/podman/podman.sock", f"{_UNIX}/run/podman/podman.sock"]
    for address in dict.fromkeys([docker, *([podman] if podman else usual)]):
        path = Path(address.removeprefix(_UNIX))
        if address.startswith(_UNIX) and path.is_socket():
            yield path


def _names_at(path: Path, home_id: str) -> Iterator[str]:
    filters = quote(json.dumps({"label": [LABEL_RUN]}))
    try:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = call_door(path.parent, path.name, _SECONDS, socket.SOCK_STREAM)
        with connection.sock:
            connection.request("GET", f"/v1.41/containers/json?filters={filters}")
            found = parse_json(connection.getresponse().read(_MAX_BYTES))
    except (OSError, http.client.HTTPException, UntrustedError):
        return
    for item in found if isinstance(found, list) else ():
        yield from _name_of(item, home_id)


def _name_of(item: Any, home_id: str) -> Iterator[str]:
    labels = item.get("Labels") if isinstance(item, dict) else None
    if isinstance(labels, dict) and labels.get(LABEL_HOME, home_id) == home_id:
        name = labels.get(LABEL_RUN)
        if isinstance(name, str):
            yield name
