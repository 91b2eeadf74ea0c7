"""Podman's own service, as root and as an unprivileged user, apart from the machine's containers.

The service runs in namespaces of processes and mounts of its own, with its own storage, networks,
user and locks. Whatever it started ends with it, and nothing of it is left in /etc, /run or /var.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

USER_ID = 65431
FIRST_SUBORDINATE_ID = 7_000_000
PROGRAMS = (
    *("podman", "runc", "conmon", "iptables", "unshare", "setpriv"),
    *("newuidmap", "slirp4netns", "catatonit"),
)
START_SECONDS = 60

# This becomes the first process of a namespace, so bash stays and collects what ends.
KEPT_APART = """
set -e
folder=$1
shift
mount --make-rshared /
# What a new machine may lack, for something to be mounted there.
mkdir -p /var/lib/cni /dev/net
touch -a /etc/subuid /etc/subgid /dev/net/tun
for file in passwd subuid subgid; do mount --bind "$folder/etc/$file" "/etc/$file"; done
mount --bind "$folder/cni" /var/lib/cni
# Everyone may use these where udev sets their modes, as on most machines.
mknod --mode=666 "$folder/tun" c 10 200
mount --bind "$folder/tun" /dev/net/tun
"$@"
exit $?
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """A running service: its folder, what podman's command line needs to share its storage."""

    folder: Path
    command: tuple[str, ...]
    pid: int

    @property
    def runtime(self) -> Path:
        """The folder that the service's user has as XDG_RUNTIME_DIR."""
        return self.folder / "run"

    @property
    def socket(self) -> Path:
        return self.runtime / "podman" / "podman.sock"

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run podman's own program beside the service, in its namespaces."""
        inside = ("nsenter", f"--target={self.pid}", "--mount", "--pid")
        return subprocess.run(
            [*inside, *self.command, *arguments], capture_output=True, text=True, check=False
        )


def missing() -> str | None:
    """Return the reason why podman cannot be tried here; None if it can."""
    if os.geteuid() != 0:
        return "podman's service is kept apart from the user's containers, which needs root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if not (Path("/usr/lib/cni/bridge").exists()):
        lacking.append("containernetworking-plugins")
    return f"not installed: {', '.join(lacking)}" if lacking else None


@contextmanager
def podman_service(*, rootless: bool) -> Iterator[Podman]:
    """Start podman's service on a socket of its own; end all that it started."""
    folder = Path(tempfile.mkdtemp(prefix="mealkit-podman-"))
    folder.chmod(0o755)
    _prepare(folder, rootless=rootless)
    command = _command(folder, rootless=rootless)
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    service = (*command, "system", "service", "--time=0", f"unix://{folder}/run/podman/podman.sock")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*apart, "bash", "-c", KEPT_APART, "bash", str(folder), *service],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,  # Ctrl-C ends the tests first
        )
    inside = _first_inside(process)
    try:
        podman = Podman(folder, command, inside)
        _wait(podman, process)
        yield podman
        # Their interfaces and rules are in the machine's network.
        podman.run("rm", "--all", "--force", "--time=0", "--volumes")
        podman.run("network", "prune", "--force")
    finally:
        # All in a namespace end with its first process, before the one that waits for it.
        with suppress(ProcessLookupError):
            os.kill(inside, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)


def _prepare(folder: Path, *, rootless: bool) -> None:
    for name in ("etc", "cni", "networks", "home", "run/podman", "graph", "state"):
        (folder / name).mkdir(parents=True)
    ids = f"{USER_ID}:{FIRST_SUBORDINATE_ID}:65536\n"
    user = f"mealkit-tests:x:{USER_ID}:{USER_ID}::{folder}/home:/usr/sbin/nologin\n"
    (folder / "etc/passwd").write_text(Path("/etc/passwd").read_text() + user)
    (folder / "etc/subuid").write_text(ids)
    (folder / "etc/subgid").write_text(ids)
    # Podman of root raises these limits, which is not allowed where root lacks CAP_SYS_RESOURCE.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    (folder / "containers.conf").write_text(
        f"""
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
[network]
network_backend = "cni"
network_config_dir = "{folder}/networks"
"""
    )
    if rootless:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER_ID, USER_ID)
        (folder / "run").chmod(0o700)


def _command(folder: Path, *, rootless: bool) -> tuple[str, ...]:
    drop = (f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--inh-caps=-all")
    return (
        *(("setpriv", *drop) if rootless else ()),
        *("env", "-i", f"PATH={os.environ['PATH']}", f"HOME={folder}/home"),
        *(f"XDG_RUNTIME_DIR={folder}/run", f"CONTAINERS_CONF={folder}/containers.conf"),
        *("podman", f"--root={folder}/graph", f"--runroot={folder}/run/storage"),
        *(f"--tmpdir={folder}/state", "--storage-driver=overlay"),
    )


def _first_inside(process: "subprocess.Popen[bytes]") -> int:
    """Return the id of the first process in the new namespaces, which unshare starts."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("podman's namespaces were not made")


def _wait(podman: Podman, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as door, suppress(OSError):
            door.connect(str(podman.socket))
            return
        time.sleep(0.02)
    raise AssertionError((podman.folder / "log").read_text())
