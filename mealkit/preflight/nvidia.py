"""NVIDIA's GPUs, as the driver tells of them through NVML; asked in a process that may be left.

Refuses to wait for a driver that hangs: what it said until then counts, the rest is unknown.
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
"""How long a driver may take. Without its persistence daemon it wakes every GPU up first."""

_LAST_WORDS_SECONDS = 1.0


class Access(StrEnum):
    """Whether the driver could be asked."""

    OK = "ok"
    NO_LIBRARY = "no-library"
    """There is no libnvidia-ml: no driver, or a container without the ``utility`` capability."""
    OLD_LIBRARY = "old-library"
    NO_CLIENT = "no-client"
    """The Python package nvidia-ml-py is not installed."""
    NO_DRIVER = "no-driver"
    """The library is there, the kernel module is not loaded."""
    VERSION_MISMATCH = "version-mismatch"
    """Library and kernel module are of different versions, as after an update without a reboot."""
    NO_PERMISSION = "no-permission"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"
    FAILED = "failed"


class GpuProcess(Fact):
    """A process that holds memory of a GPU."""

    pid: int
    """Its number, as the driver sees it from here."""
    name: str | None
    """Its program; None where it is not visible from here."""
    memory_bytes: int | None
    """None where the driver does not say, as under MIG without permission."""
    kinds: tuple[Literal["compute", "graphics"], ...]


class Memory(Fact):
    """The memory of a GPU, or of a slice of one."""

    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_used_bytes: int | None = None
    """What processes hold; drivers before 510 count what they reserved for themselves too."""
    memory_reserved_bytes: int | None = None
    """What driver and firmware keep for themselves."""


class Slice(Memory):
    """A MIG device: a slice of a GPU that acts as one."""

    index: int
    name: str | None
    uuid: str | None
    compute_slices: int | None
    """Of the seven that a GPU has."""
    gpu_slices: int | None
    multiprocessors: int | None


class NvidiaGpu(Memory):
    """One NVIDIA GPU."""

    index: int
    """Its number in NVML's order, which is that of the PCI bus."""
    lost: bool
    """Whether it fell off the bus: the machine must be restarted."""
    name: str | None = None
    uuid: str | None = None
    compute_capability: tuple[int, int] | None = None
    unified_memory: bool = False
    """Whether it uses the machine's own memory; total and free are then those of /proc/meminfo."""
    mig_enabled: bool | None = None
    slices: tuple[Slice, ...] = ()
    """The MIG devices; where MIG is enabled nothing can run on the GPU outside them."""
    ecc_enabled: bool | None = None
    ecc_uncorrected: int | None = None
    """Uncorrectable memory errors since the driver was loaded."""
    remapped_rows: int | None = None
    remap_pending: bool | None = None
    """Whether bad memory waits for a reset of the GPU to be replaced."""
    remap_failed: bool | None = None
    """Whether bad memory could not be replaced: the GPU must go."""
    retired_pages_pending: bool | None = None
    """As ``remap_pending``, on GPUs before Ampere."""
    processes: tuple[GpuProcess, ...] = ()
    """Who holds its memory; in a container only those of the container are seen."""
    slowed_by: tuple[str, ...] | None = None
    """Why its clock is held down now: power, heat."""


class Nvidia(Fact):
    """NVIDIA's side of this machine."""

    access: Access
    reason: str | None
    """What was answered, where ``access`` is not ok."""
    driver: str | None = None
    """The version of the kernel's driver."""
    library: str | None = None
    """The version of the library NVML."""
    cuda: tuple[int, int] | None = None
    """The newest CUDA that the driver can run."""
    libcuda: bool | None = None
    """Whether libcuda is here: no, in a container without the ``compute`` capability."""
    count: int | None = None
    """How many GPUs the driver has; fewer are in ``gpus`` if it stopped answering."""
    gpus: tuple[NvidiaGpu, ...] = ()


# What is not known of a GPU that does not answer.
_ASKED = [name for name in NvidiaGpu.model_fields if name not in {"index", "lost", "unknown"}]


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the asking process printed, and how it ended if not well."""

    lines: list[str] = field(default_factory=list)
    failed: Access | None = None
    reason: str = ""


def read_nvidia(
    roots: Roots, memory: tuple[int | None, int | None], patience_seconds: float = PATIENCE_SECONDS
) -> Nvidia:
    """Ask the driver; ``memory`` is the machine's, total and available, for GPUs that share it."""
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
    # Isolated: neither the caller's folder nor its packages can stand in for what is imported.
    command = [sys.executable, "-I", "-S", nvml.__file__, folder]
    # It has no use for keys, and a driver's library reads what it likes.
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
        return _Heard(failed=Access.FAILED, reason=f"no process could be started: {error}")
    try:
        out, err = process.communicate(timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        reason = f"the driver did not answer within {patience_seconds:g} seconds"
        return _Heard(_lines(_left(process)), Access.TIMED_OUT, reason)
    last = err.decode(errors="replace").strip().rpartition("\n")[2]
    reason = f"the process that asked the driver ended with {process.returncode} {last}".strip()
    return _Heard(_lines(out), Access.CRASHED, reason)


def _left(process: subprocess.Popen[bytes]) -> bytes:
    """Kill a process, and return what it had said; one that waits in the kernel is left behind."""
    process.kill()
    try:
        return process.communicate(timeout=_LAST_WORDS_SECONDS)[0]
    except subprocess.TimeoutExpired as late:
        return late.stdout or b""


def _lines(out: bytes) -> list[str]:
    """Return the complete lines of JSON; drivers have been known to print things of their own."""
    complete = out.decode(errors="replace").split("\n")[:-1]
    return [line for line in complete if line.startswith("{")]


def _kernel_driver(roots: Roots) -> str | None:
    text = read_text(roots.proc / "driver" / "nvidia" / "version")
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", text)
    return found[0] if found else None
