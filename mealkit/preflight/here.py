"""Reads facts about this process, not the machine: its ports, folders, devices and clock."""

import errno
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from mealkit.preflight.finding import Context
from mealkit.recipe.traits import EngineTraits

_COMPUTING = re.compile(r"nvidia\d+|kfd|dxg")
_DEVICES = re.compile(r"nvidiactl|nvidia-uvm|nvidia\d+|kfd|dxg")


def inside(engine: EngineTraits, state: Path, dev: Path = Path("/dev")) -> Context:
    """Return the context in a container, whose state folder must be writable."""
    return Context(
        engine,
        inside=True,
        clock_seconds=time.time(),
        closed_devices=closed_devices(dev),
        closed_folders=closed_folders((state,)),
    )


def closed_devices(dev: Path = Path("/dev")) -> Mapping[str, str]:
    """Return the GPUs' device files that this process cannot read and write, with the reason."""
    try:
        found = sorted(item for item in dev.iterdir() if _DEVICES.fullmatch(item.name))
    except OSError:
        return {}
    user = f"user {os.geteuid()} may not read and write it"
    return {str(path): user for path in found if not os.access(path, os.R_OK | os.W_OK)}


def has_gpu_devices(dev: Path = Path("/dev")) -> bool:
    """Return whether there are device files of GPUs."""
    return any(_COMPUTING.fullmatch(item.name) for item in dev.iterdir())


def closed_folders(folders: Iterable[Path]) -> Mapping[str, str]:
    """Return the folders that are not writable; if one does not exist, its parent is tested."""
    closed: dict[str, str] = {}
    for folder in folders:
        nearest = next(item for item in (folder, *folder.parents) if item.exists())
        if not nearest.is_dir():
            closed[str(folder)] = f"{nearest} is not a folder"
        elif not os.access(nearest, os.W_OK | os.X_OK):
            closed[str(folder)] = f"user {os.geteuid()} may not write to {nearest}"
    return closed


def port_is_free(address: str, port: int) -> bool | None:
    """Bind to a port briefly; return None if that fails for another reason than "in use"."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
    except OSError as error:
        return False if error.errno == errno.EADDRINUSE else None
    return True
