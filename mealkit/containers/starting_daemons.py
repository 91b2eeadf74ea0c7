"""Says with which command the daemon of a container engine is started on this machine."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

_SYSTEMD = Path("/run/systemd/system")
"""It exists where systemd runs (sd_booted(3))."""
_ADDRESSES = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}
_OTHER = "or choose another client with --client"


def how_to_start(
    client: str, reason: str, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Return the command for an engine that cannot be used for a reason; None for the sandbox."""
    variable = _ADDRESSES.get(client)
    if variable is None:
        return None
    if environment.get(variable):
        return f"check {variable}, which is {environment[variable]}; {_OTHER}"
    if shutil.which(client) is None:
        return f"install {client}; {_OTHER}"
    if "may not use its socket" in reason:
        return f"sudo usermod --append --groups {client} $USER, then log in again; {_OTHER}"
    return f"start it: {_command(client)}; {_OTHER}"


def _command(client: str) -> str:
    is_root, has_systemd = os.getuid() == 0, _SYSTEMD.is_dir()
    match client, has_systemd:
        case "podman", True:
            return f"systemctl {'' if is_root else '--user '}start podman.socket"
        case "podman", False:
            # Without an address it makes the socket where mealkit looks for it.
            return "podman system service --time=0 &"
        case _, True:
            return f"{'' if is_root else 'sudo '}systemctl start docker"
        case _:
            return f"{'' if is_root else 'sudo '}dockerd &"
