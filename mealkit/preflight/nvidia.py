"""Reads NVIDIA's GPUs from the driver through NVML, in a process that can be abandoned.

If the driver hangs, its answers so far are used, and the rest is unknown.
"""

import json
import os
import re
import subprocess  # noqa: TID251  a call that hangs in the driver cannot be ended in any other way
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from mealkit.preflight import nvml
from mealkit.preflight.fact import Fact
from mealkit.preflight.roots import Roots, read_text

PATIENCE_SECONDS = 10.0
"""How long a driver may take. Without its persistence daemon, it first starts every GPU."""

_LAST_WORDS_SECONDS = 1.0


class Access(StrEnum):
    """Whether the driver could be queried."""

    OK = "ok"
    NO_LIBRARY = "no-library"
    """libnvidia-ml is missing: no driver, or a container without the ``utility`` capability."""
    OLD_LIBRARY = "old-library"
    NO_CLIENT = "no-client"
    """The Python package nvidia-ml-py is not installed."""
    NO_DRIVER = "no-driver"
    """The library is installed, but the kernel module is not loaded."""
    VERSION_MISMATCH = "version-mismatch"
    """Library and kernel module have different versions, as after an update without a reboot."""
    NO_PERMISSION = "no-permission"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"
    FAILED = "failed"


class GpuProcess(Fact):
    """A process that uses a GPU's memory."""

    pid: int
    """The process's number, as the driver sees it from here."""
    name: str | None
    """The process's program; None if it is not visible from here."""
    memory_bytes: int | None
    """None if the driver does not report it, as with MIG without permission."""
    kinds: tuple[Literal["compute", "graphics"], ...]


class Memory(Fact):
    """The memory of a GPU, or of a slice of one."""

    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_used_bytes: int | None = None
    """The memory that processes use; drivers before 510 also count their own reserve."""
    memory_reserved_bytes: int | None = None
    """The memory that driver and firmware reserve."""


class Slice(Memory):
    """A MIG device: a slice of a GPU that works like a GPU."""

    index: int
    name: str | None
    uuid: str | None
    compute_slices: int | None
    """The number of compute slices, of seven on a GPU."""
    gpu_slices: int | None
    multiprocessors: int | None


class NvidiaGpu(Memory):
    """One NVIDIA GPU."""

    index: int
    """The GPU's number in NVML's order, which is the order on the PCI bus."""
    lost: bool
    """Whether it fell off the bus: the machine must be restarted."""
    name: str | None = None
    uuid: str | None = None
    compute_capability: tuple[int, int] | None = None
    unified_memory: bool = False
    """Whether it uses the machine's memory; total and free are then those of /proc/meminfo."""
    mig_enabled: bool | None = None
    slices: tuple[Slice, ...] = ()
    """The MIG devices; with MIG enabled, nothing can run on the GPU outside of them."""
    ecc_enabled: bool | None = None
    ecc_uncorrected: int | None = None
    """Uncorrectable memory errors since the driver was loaded."""
    remapped_rows: int | None = None
    remap_pending: bool | None = None
    """Whether a reset of the GPU is needed to replace bad memory."""
    remap_failed: bool | None = None
    """Whether bad memory could not be replaced: the GPU must be exchanged."""
    retired_pages_pending: bool | None = None
    """Like ``remap_pending``, for GPUs before Ampere."""
    processes: tuple[GpuProcess, ...] = ()
    """The processes that use its memory; in a container only the container's own are visible."""
    slowed_by: tuple[str, ...] | None = None
    """Why its clock is reduced now: power, heat."""


class Nvidia(Fact):
    """The facts about NVIDIA's driver and GPUs on this machine."""

    access: Access
    reason: str | None
    """The driver's answer, if ``access`` is not ok."""
    driver: str | None = None
    """The version of the kernel's driver."""
    library: str | None = None
    """The version of the library NVML."""
    cuda: tuple[int, int] | None = None
    """The newest CUDA version that the driver supports."""
    libcuda: bool | None = None
    """Whether libcuda exists here; not in a container without the ``compute`` capability."""
    count: int | None = None
    """The driver's number of GPUs; ``gpus`` has fewer if the driver stopped answering."""
    gpus: tuple[NvidiaGpu, ...] = ()


# The fields that are unknown for a GPU that does not respond.
_ASKED = [name for name in NvidiaGpu.model_fields if name not in {"index", "lost", "unknown"}]


@dataclass(frozen=True, slots=True)
class _Heard:
    """The output of the process that queried the driver, and its failure if there was one."""

    lines: list[str] = field(default_factory=list)
    failed: Access | None = None
    reason: str = ""


def read_nvidia(
    roots: Roots, memory: tuple[int | None, int | None], patience_seconds: float = PATIENCE_SECONDS
) -> Nvidia:
    """Query the driver; ``memory`` is the machine's (total, available), for GPUs that share it."""
    heard = _ask(patience_seconds)
    forms = [json.loads(line) for line in heard.lines]
    ended = bool(forms) and (not forms[-1] or forms[0]["access"] != Access.OK)
    machine: dict[str, Any] = forms[0] if forms else {"unknown": {}}
    if not ended:
        machine |= {"access": heard.failed or Access.CRASHED, "reason": heard.reason}
    kernel = _kernel_driver(roots)
    unknown: dict[str, str] = machine["unknown"]
    if machine.get("driver") is None and kernel:
        machine["driver"] = kernel
        unknown.pop("driver", None)
    gpus = tuple(_gpu(form, memory) for form in forms[1:] if form)
    if len(gpus) < (machine.get("count") or 0):
        unknown["gpus"] = f"only {len(gpus)} of {machine['count']} answered: {machine['reason']}"
    return Nvidia.model_validate_json(json.dumps(machine)).model_copy(update={"gpus": gpus})


def _gpu(form: dict[str, Any], memory: tuple[int | None, int | None]) -> NvidiaGpu:
    if silence := form["unknown"].get(""):
        form["unknown"] = dict.fromkeys(_ASKED, silence)
    gpu = NvidiaGpu.model_validate_json(json.dumps(form))
    if not gpu.unified_memory:
        return gpu
    total, available = memory
    shared = {"memory_total_bytes": total, "memory_free_bytes": available}
    known = {name for name, value in shared.items() if value is not None}
    unknown = {name: reason for name, reason in gpu.unknown.items() if name not in known}
    return gpu.model_copy(update={**shared, "unknown": unknown})


def _ask(patience_seconds: float) -> _Heard:
    client = find_spec("pynvml")
    folder = str(Path(client.origin).parent) if client and client.origin else ""
    # Isolated mode: files in the caller's folder or packages cannot replace the imported modules.
    command = [sys.executable, "-I", "-S", nvml.__file__, folder]
    # The process needs no keys, and a driver's library can read any environment variable.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MEALKIT_KEYS")
    }
    try:
        process = subprocess.Popen(  # noqa: S603  our own script
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        return _Heard(failed=Access.FAILED, reason=f"the process could not be started: {error}")
    try:
        out, err = process.communicate(timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        reason = f"the driver did not answer within {patience_seconds:g} seconds"
        return _Heard(_lines(_left(process)), Access.TIMED_OUT, reason)
    last = err.decode(errors="replace").strip().rpartition("\n")[2]
    reason = f"the process that queried the driver ended with {process.returncode} {last}".strip()
    return _Heard(_lines(out), Access.CRASHED, reason)


def _left(process: subprocess.Popen[bytes]) -> bytes:
    """Kill a process and return its output; do not wait for one that is stuck in the kernel."""
    process.kill()
    try:
        return process.communicate(timeout=_LAST_WORDS_SECONDS)[0]
    except subprocess.TimeoutExpired as late:
        return late.stdout or b""


def _lines(out: bytes) -> list[str]:
    """Return the complete JSON lines; some drivers print other lines, too."""
    complete = out.decode(errors="replace").split("\n")[:-1]
    return [line for line in complete if line.startswith("{")]


def _kernel_driver(roots: Roots) -> str | None:
    text = read_text(roots.proc / "driver" / "nvidia" / "version")
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", text)
    return found[0] if found else None
