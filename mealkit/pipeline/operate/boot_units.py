"""Writes and removes the user units of deployments in systemd's folder, and enables them."""

import sys
from pathlib import Path

from mealkit.containers.user_systemd import disable, enable, unit_folder
from mealkit.deploy.boot_unit import boot_unit, is_unit_of, needs_unit, unit_name
from mealkit.deploy.deployment import Deployment
from mealkit.errors import failure
from mealkit.files.whole import disk_errors, write_whole
from mealkit.pipeline.home import Home
from mealkit.progress import Progress
from mealkit.untrusted import read_file

_MOST_BYTES = 64 * 1024


def set_unit(deployment: Deployment, home: Home, progress: Progress) -> None:
    """Write the unit of a deployment that is to start with the machine, else remove it.

    Where systemd runs for this user, the unit is enabled; else the command is told.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    path = _path(deployment.name)
    found = _read(path)
    if not needs_unit(deployment):
        remove_unit(deployment)
        return
    text = boot_unit(deployment, (sys.executable, "-m", "mealkit", "--home", str(home.root)))
    if found == text:
        return
    if found is not None and not is_unit_of(found, deployment):
        progress.phase(f"{path} is of another deployment {deployment.name}, so it is left as it is")
        return
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode(), mode=0o644)
    if enable(path.name):
        done = f"{path.name} starts {deployment.name} with your session"
        progress.phase(f"{done}; with the machine after: loginctl enable-linger")
    else:
        how = f"systemctl --user enable --now {path.name}"
        progress.phase(f"to start {deployment.name} with the machine: {how}")
        progress.phase("and once for this user: loginctl enable-linger")


def remove_unit(deployment: Deployment) -> None:
    """Disable and remove the unit of a deployment, if it has one; the kit goes on."""
    path = _path(deployment.name)
    found = _read(path)
    if found is None or not is_unit_of(found, deployment):
        return
    disable(path.name)
    with disk_errors(path):
        path.unlink(missing_ok=True)


def require_restart(client: str, restart: str) -> None:
    """Check that a policy can be kept.

    Raises:
        KitError: ``USAGE``.
    """
    if client == "sandbox" and restart == "on-failure":
        message = "the sandbox does not start a kit again by --restart on-failure"
        raise failure("USAGE", message, hint="use --restart unless-stopped, always or no")


def _path(name: str) -> Path:
    return unit_folder() / unit_name(name)


def _read(path: Path) -> str | None:
    try:
        return read_file(path, _MOST_BYTES).decode(errors="replace")
    except OSError:
        return None
