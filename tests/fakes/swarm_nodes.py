"""A real Swarm of two nodes on one machine: engines of their own in network namespaces.

The nodes share a link, and each has a registry at the same loopback address, over one folder. The
machine's own engine is not touched. Each engine is the first process of a process namespace, so its
end is the end of all its containers.
"""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.served import free_port, need

_PATIENCE_SECONDS = 60.0
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Node:
    """An engine of the swarm."""

    name: str
    namespace: str
    address: str
    socket: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def run(self, *command: str) -> str:
        """Run a program in the node's network."""
        inside = ["nsenter", f"--net=/run/netns/{self.namespace}", *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True, slots=True)
class SwarmNodes:
    """A manager, a worker, and the address of the registry that both reach."""

    manager: Node
    worker: Node
    registry: str


@contextmanager
def swarm_of_two(folder: Path) -> Iterator[SwarmNodes]:
    """Start the nodes and the registry; nothing is left of them afterwards."""
    mark = uuid.uuid4().hex[:8]
    names = [f"mks-{mark}-{number}" for number in (1, 2)]
    with ExitStack() as left:
        for name in names:
            _run("ip", "netns", "add", name)
            left.callback(_run, "ip", "netns", "delete", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run(*f"ip link add eth0 netns {names[0]} type veth peer eth0 netns {names[1]}".split())
        addresses = ["10.213.7.1", "10.213.7.2"]
        for name, address in zip(names, addresses, strict=True):
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
        nodes = []
        for name, address in zip(names, addresses, strict=True):
            left.callback(_remove_cgroups, name)
            nodes.append(_engine(name, address, folder / name, left))
        registry = f"localhost:{free_port()}"
        for namespace in (None, *names):
            _registry(namespace, registry, folder, left)
        for node in nodes:
            _wait_for_engine(node)
        _join(*nodes)
        yield SwarmNodes(nodes[0], nodes[1], registry)


def _engine(name: str, address: str, folder: Path, left: ExitStack) -> Node:
    program = need("dockerd")
    folder.mkdir(parents=True)
    # The data of a test's run is not worth a journal's time.
    options = [
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        f"--host=unix://{folder / 'sock'}",
        f"--cgroup-parent=/{name}",
        f"--bip=172.{30 + int(name[-1])}.0.1/16",
    ]
    new = ["--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    start = f'hostname node{name[-1]}; exec "$@"'
    command = [f"--net=/run/netns/{name}", "unshare", *new, "sh", "-c", start, "sh", program]
    log = left.enter_context((folder / "log").open("wb"))
    process = subprocess.Popen(
        ["nsenter", *command, *options], stdout=log, stderr=log, start_new_session=True
    )
    left.callback(shutil.rmtree, folder, ignore_errors=True)
    left.callback(_end, process)
    return Node(f"node{name[-1]}", name, address, folder / "sock", process)


def _registry(namespace: str | None, host: str, folder: Path, left: ExitStack) -> None:
    config = folder / "registry.json"
    storage = {"filesystem": {"rootdirectory": str(folder / "registry")}}
    address = host.replace("localhost", "127.0.0.1")
    form = {"version": 0.1, "storage": storage, "http": {"addr": address}}
    config.write_text(json.dumps(form | {"log": {"level": "error"}}))
    inside = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    process = subprocess.Popen(
        [*inside, need("docker-registry"), "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
    )
    left.callback(_end, process)


def _wait_for_engine(node: Node) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not node.socket.exists():
        log = node.socket.with_name("log").read_text()[-2000:]
        assert node.process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    with closing(sdk_of(node)) as client:
        client.ping()


def _join(manager: Node, worker: Node) -> None:
    at = f"{manager.address}:2377"
    with closing(sdk_of(manager)) as first, closing(sdk_of(worker)) as second:
        first.swarm.init(advertise_addr=manager.address, listen_addr=at)
        first.swarm.reload()
        token = first.swarm.attrs["JoinTokens"]["Worker"]
        second.swarm.join(remote_addrs=[at], join_token=token, advertise_addr=worker.address)


def sdk_of(node: Node) -> Any:
    """The SDK's client for a node."""
    import docker  # noqa: PLC0415

    return docker.DockerClient(base_url=node.url, timeout=60)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _remove_cgroups(name: str) -> None:
    """Remove the control groups of containers that were killed with their engine."""
    parents = [*_CGROUPS.glob(f"*/{name}"), *_CGROUPS.glob(name)]
    for parent in parents:
        for folder in sorted(parent.rglob("*"), key=lambda path: len(path.parts), reverse=True):
            if folder.is_dir():
                with suppress(OSError):
                    folder.rmdir()
        with suppress(OSError):
            parent.rmdir()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
