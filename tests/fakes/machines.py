"""Recorded machines, read by all of our code and NVIDIA's client over a stand-in for the driver.

And facts made by hand, for tests that only need some.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from mealkit.preflight.amd import Amd
from mealkit.preflight.cpu import Cpu
from mealkit.preflight.disk import SharedMemory
from mealkit.preflight.facts import Facts, read_facts
from mealkit.preflight.nvidia import Access, Nvidia
from mealkit.preflight.roots import Roots
from mealkit.preflight.toolkit import Toolkit
from mealkit.preflight.ulimits import Ulimits

PREFLIGHT = Path(__file__).parents[1] / "preflight"
MACHINES = PREFLIGHT / "machines"
SOURCE = PREFLIGHT / "nvml_stand_in" / "nvml.c"
LIBRARY = "libnvidia-ml.so.1"
_MIB = 1024**2
_KEPT: list[TemporaryDirectory[str]] = []


@cache
def stand_in(driver: str = "580") -> Path:
    """Compile the stand-in once per process; return the folder that holds the library."""
    folder = TemporaryDirectory(prefix="mealkit-nvml-")
    _KEPT.append(folder)
    target = Path(folder.name) / LIBRARY
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, f"-DDRIVER={driver}", "-o", target, SOURCE], check=True)
    return target.parent


def lines_of(text: str) -> dict[str, str]:
    """The keys and values of a recording; of several lines with one key, the last."""
    lines = [line.partition("#")[0].partition("=") for line in text.splitlines()]
    return {key.strip(): value.strip() for key, equals, value in lines if equals}


def machine_names() -> list[str]:
    return sorted(path.stem for path in MACHINES.glob("*.machine"))


@contextmanager
def driver_of(recording: Path) -> Iterator[None]:
    """Let processes started meanwhile find the driver of a recording, and no other."""
    abi = lines_of(recording.read_text()).get("abi", "580")
    changes = {
        "LD_LIBRARY_PATH": str(stand_in(abi)),
        "MEALKIT_NVML_MACHINE": str(recording),
    }
    with mock.patch.dict(os.environ, changes):
        yield


def facts_of(recording: Path, folder: Path, **options: Any) -> Facts:
    """The facts of a recorded machine; ``folder`` is for what its kernel shows."""
    lines = lines_of(recording.read_text())
    for name in ("proc/driver/nvidia", "sys", "dev", "etc", "run"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    memory = "".join(
        f"{title}: {_bytes(lines[key]) // 1024:15} kB\n"
        for title, key in (
            ("MemTotal", "host.memory_total"),
            ("MemAvailable", "host.memory_available"),
        )
        if key in lines
    )
    (folder / "proc" / "meminfo").write_text(memory)
    if kernel := lines.get("host.kernel_driver", lines.get("driver")):
        text = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {kernel}  Tue Mar  5\n"
        (folder / "proc" / "driver" / "nvidia" / "version").write_text(text)
    count = lines.get("gpus", "0")
    for index in range(int(count) if count.isdigit() else 0):
        (folder / "dev" / f"nvidia{index}").touch()
    roots = Roots(*(folder / name for name in ("proc", "sys", "dev", "etc", "run")))
    with driver_of(recording):
        return read_facts(roots=roots, machine=lines.get("host.machine", "x86_64"), **options)


def machine(name: str) -> Facts:
    """The facts of the recorded machine of that name."""
    with TemporaryDirectory(prefix="mealkit-machine-") as folder:
        return facts_of(MACHINES / f"{name}.machine", Path(folder))


def made_facts(**changes: Any) -> Facts:
    """The facts of a server without a GPU, made by hand, but for what is given."""
    gib = 1024**3
    values: dict[str, Any] = {
        "host": "made-up",
        "architecture": "amd64",
        "kernel": "6.12.0",
        "cpu": Cpu(model="made up", features=("avx2", "fma"), count=8, limit=None),
        "memory_total_bytes": 16 * gib,
        "memory_available_bytes": 12 * gib,
        "memory_limit_bytes": None,
        "shm": SharedMemory(total_bytes=8 * gib, free_bytes=8 * gib),
        "disks": (),
        "ulimits": Ulimits(memlock_bytes=8 * 1024**2, open_files=1024, stack_bytes=8 * 1024**2),
        "gpu_devices": (),
        "nvidia": Nvidia(access=Access.NO_LIBRARY, reason="no such file"),
        "amd": Amd(kfd=False, gpus=()),
        "toolkit": Toolkit(programs={}, cdi=()),
        "clients": (),
    }
    return Facts(**(values | changes))


def _bytes(text: str) -> int:
    number, _, unit = text.partition(" ")
    return int(number) * (_MIB if unit == "MiB" else 1)
