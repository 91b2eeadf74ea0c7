"""A gateway outside of a container, on one core, over a lock that names a stand-in as its engine.

Whatever else has to be on the gateway's core, or off it, is put there by the functions below.
"""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import answers, wait_for
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError
from benchmarks.registry import free_port
from mealkit.recipe.lock import Lock, lock_bytes

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that is ready."""

    process: int
    port: int
    socket: Path
    """Its worker's."""


@contextmanager
def gateway(lab: Lab, lock: Lock, weights: Path) -> Iterator[Served]:
    """Run a gateway until the block ends; its worker's module is one of the repository.

    Raises:
        CannotMeasureError: it does not become ready.
    """
    root = Path(tempfile.mkdtemp(prefix="gateway-", dir=lab.scratch))
    (root / "etc").mkdir()
    (root / "etc/kit.lock").write_bytes(lock_bytes(lock))
    port = free_port()
    # A socket's path must be short, whatever the scratch folder is.
    state = Path(tempfile.mkdtemp(prefix="mealkit-"))
    environment = {
        "MEALKIT_HOST": "127.0.0.1",
        "MEALKIT_PORT": str(port),
        "MEALKIT_MODELS": str(weights),
        "MEALKIT_ETC": str(root / "etc"),
        "MEALKIT_STATE": str(state),
        "MEALKIT_ENGINE_PATH": str(REPOSITORY),
        "MEALKIT_TERMINATION_LOG": str(root / "termination"),
    }
    log = root / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mealkit.runtime"],
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    try:
        wait_ready(process, port, "/v1/health/ready", log)
        part_cores(process.pid)
        yield Served(process.pid, port, state / "worker.sock")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def wait_ready(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    """Wait until a server on loopback answers a path with 200.

    Raises:
        CannotMeasureError: it ended, or takes a minute.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    ready = wait_for(
        lambda: answers(connection, path), lambda: process.poll() is not None, _START_SECONDS
    )
    if ready is None:
        tail = log.read_text(errors="replace")[-500:]
        raise CannotMeasureError(f"{path} is not answered: {tail}")


def part_cores(server: int) -> None:
    """Give a server the first core, and its children all others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    pin(server, {cores[0]})
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    for child in children:
        pin(int(child), set(cores[1:]))


def pin(process: int, cores: set[int]) -> None:
    """Keep a process and all its threads on some cores."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def off_first_core() -> list[str]:
    """Return what a command begins with that shall leave the first core alone."""
    cores, program = sorted(os.sched_getaffinity(0)), shutil.which("taskset")
    if len(cores) < 2 or program is None:
        return []
    return [program, "--cpu-list", ",".join(str(core) for core in cores[1:])]


def family(process: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [process]
    for parent in found:
        for thread in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process without its children: proc(5), utime and stime of stat."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
