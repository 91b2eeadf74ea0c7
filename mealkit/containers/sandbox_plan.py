"""Plans a sandbox: its namespaces, port, devices and command, as data for its init.

Raises an error before anything starts, if the machine does not allow it or a file is missing.
"""

import contextlib
import errno
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.addresses import caller_address
from mealkit.containers import sandbox_init
from mealkit.containers.container import (
    LABEL_KIT,
    LABEL_RECIPE,
    LABEL_RUN,
    Container,
    RunSpec,
    UnpackedRoot,
)
from mealkit.containers.sandbox_groups import make_groups
from mealkit.errors import failure
from mealkit.paths import RECORDS, STATE, USER_ID
from mealkit.seccomp import container_refusals, filter_program

CLIENT = "sandbox"

PROCESSES = 4096
"""The maximum number of processes and threads in a sandbox, as in an engine's container."""

_BACKLOG = 1024

_OWN_USERS = ("--user", "--map-root-user")
_PROCESSES = ("--pid",)
_FILES = ("--mount", "--uts", "--ipc", "--cgroup")
_NETWORK = ("--net",)
_GPU_NODES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-caps/*", "dri/*", "kfd")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# How distributions disable user namespaces: (file, the value that does, the message).
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns is 1",
    ),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
)


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The commands that create namespaces here: ``around`` the keeper's children, ``within`` them.

    Root needs no user namespace; without one, the kit's user has no other rights on the host. With
    ``own_users``, the host sees the kit's user as the caller.
    """

    around: tuple[str, ...]
    within: tuple[str, ...]
    own_users: bool


def namespaces() -> Namespaces:
    """Test which namespaces this user may create.

    Raises:
        ContainerError: CLIENT_UNAVAILABLE with the kernel's reason.
    """
    unshare, nothing = shutil.which("unshare"), shutil.which("true")
    if unshare is None or nothing is None:
        raise failure("CLIENT_UNAVAILABLE", "the program unshare (of util-linux) is not installed")
    said = ""
    for own_users in (False, True) if may_become(USER_ID) else (True,):
        around = (unshare, *(_OWN_USERS if own_users else ()), *_PROCESSES)
        tried = subprocess.run(
            [*around, *_FILES, *_NETWORK, "--fork", "--mount-proc", nothing],
            check=False,
            capture_output=True,
            text=True,
        )
        if tried.returncode == 0:
            return Namespaces(around, (unshare, *_FILES), own_users)
        said = tried.stderr.strip()
    raise failure(
        "CLIENT_UNAVAILABLE", f"user namespaces cannot be used here: {switched_off() or said}"
    )


def is_filtered() -> bool:
    """Return whether system calls can be filtered on this processor."""
    return filter_program(container_refusals(), platform.machine()) is not None


def open_listener(address: str, port: int) -> socket.socket:
    """Return the socket that callers connect to; the sandbox gets it, because it cannot open one.

    Raises:
        ContainerError: PORT_TAKEN; CLIENT_REFUSED, the address or port cannot be used.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        code = "PORT_TAKEN" if error.errno == errno.EADDRINUSE else "CLIENT_REFUSED"
        raise failure(code, f"port {port} of {address} cannot be used: {error.strerror}") from error
    return listener


def plan(spec: RunSpec, port: int, allowed: Namespaces) -> tuple[Container, dict[str, Any]]:
    """Describe the sandbox for its record, and for its keeper and init.

    Raises:
        ContainerError: CLIENT_REFUSED, an input is missing or cannot be read.
        PreflightError: HW_NO_GPU.
    """
    content = spec.content
    if not isinstance(content, UnpackedRoot):
        raise failure("CLIENT_REFUSED", "the sandbox needs an unpacked root, not a loaded image")
    if not content.folder.is_dir() or not content.entrypoint:
        raise failure("CLIENT_REFUSED", f"{content.folder} is not a root with an entrypoint")
    for mount in spec.mounts:
        mount.require_readable()
    environment = {
        "PATH": _PATH,
        "HOME": "/",
        **content.environment,
        **spec.environment,
        "MEALKIT_HOST": spec.host_address,
        "MEALKIT_PORT": str(port),
        # The socket is already open: sd_listen_fds(3). The entrypoint is process 1.
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
        # The socket after that one is for orders of a deployment.
        **({"MEALKIT_CONTROL": "on"} if spec.network is not None else {}),
    }
    filtered = filter_program(container_refusals(), platform.machine()) or b""
    orders = {
        "python": [sys.executable, "-I", "-S"],
        "around": allowed.around,
        "within": (*allowed.within, *(() if spec.fetches else _NETWORK)),
        "own_network": not spec.fetches,
        "filter": filtered.hex(),
        "processes": PROCESSES,
        "own_users": allowed.own_users,
        "init": sandbox_init.__file__,
        "root": str(content.folder.resolve()),
        "entrypoint": content.entrypoint,
        "environment": environment,
        "working_directory": content.working_directory,
        "hostname": spec.name[:63],
        "user_id": USER_ID,
        "writable": f"/{STATE}",
        "records": str(spec.records.resolve()) if spec.records else None,
        "records_at": f"/{RECORDS}",
        "mounts": [(str(item.source.resolve()), item.target) for item in spec.mounts],
        "devices": _gpu_nodes() if spec.gpus else [],
        "emulated": spec.architecture is not None,
        "groups": [str(group) for group in _groups(spec)],
    }
    return _container(spec, port), orders


def _container(spec: RunSpec, port: int) -> Container:
    labels = {LABEL_KIT: spec.kit, LABEL_RECIPE: spec.recipe, LABEL_RUN: spec.name}
    return Container(
        id=spec.name,
        name=spec.name,
        client=CLIENT,
        kit=spec.kit,
        recipe=spec.recipe,
        address=caller_address(spec.host_address),
        port=port,
        started_seconds=time.time(),
        labels={**spec.labels, **labels},
    )


def _groups(spec: RunSpec) -> list[Path]:
    return make_groups(spec.name, spec.memory_bytes, PROCESSES)


def _gpu_nodes() -> list[str]:
    found = sorted(str(path) for pattern in _GPU_NODES for path in Path("/dev").glob(pattern))
    if not found:
        raise failure("HW_NO_GPU", "a GPU is requested, but /dev has none")
    return found


def may_become(user: int) -> bool:
    """Return whether this is root, and not root in a user namespace without the kit's user."""
    lines = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    mapped = any(int(first) <= user < int(first) + int(count) for first, _, count in lines)
    return mapped and os.geteuid() == 0


def switched_off() -> str | None:
    """Return the setting that disables user namespaces on this machine, if it is known."""
    for name, off, text in _SWITCHES:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == off:
                return text
    return None
