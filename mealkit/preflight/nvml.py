"""Queries NVIDIA's driver, and prints the answers as JSON lines; runs in a separate process.

``nvidia.py`` starts it as a script: a driver that hangs or crashes only affects this process. It
imports no module of mealkit and, except NVIDIA's client, only the standard library.
The first line is about the machine, each further one about a GPU, the last is ``{}``. A GPU that
does not respond at all has only the reason, under the key ``""``.
Source of every function: https://docs.nvidia.com/deploy/nvml-api/
"""

import ctypes
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_PR_SET_DUMPABLE = 4  # <linux/prctl.h>

# nvmlReturn_t in nvml.h: each of these codes means a different fact about a machine.
_NOT_SUPPORTED = 3
_NOT_FOUND = 6
_LIBRARY_NOT_FOUND = 12
_FUNCTION_NOT_FOUND = 13
_GPU_IS_LOST = 15
_VERSION_MISMATCH = 25
_ACCESS = {
    4: "no-permission",
    9: "no-driver",
    12: "no-library",
    13: "old-library",
    18: "version-mismatch",
}
# The answers of an old library or driver for functions that were added later.
_TOO_OLD = (_FUNCTION_NOT_FOUND, _VERSION_MISMATCH)

_VOLATILE, _UNCORRECTED = 0, 1

# nvmlClocksEventReason*: why a GPU's clock is below the requested one.
_SLOWED = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


class _Answers:
    """The driver's answers by the names of the facts, and the reasons for missing ones."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.values: dict[str, Any] = {}
        self.unknown: dict[str, str] = {}

    def ask(self, names: str, *questions: Callable[[], Any]) -> int:
        """Store the first answer, in as many values as there are names; return NVML's code.

        Each further question is the fallback for libraries or drivers that do not support the last.
        """
        code, reason = 0, ""
        for question in questions:
            try:
                answer = question()
            except (self._client.NVMLError, UnicodeError) as error:
                code = getattr(error, "value", -1)
                reason = _reason(error)
                if code not in _TOO_OLD:
                    break
            else:
                each = answer if " " in names else (answer,)
                self.values |= dict(zip(names.split(), each, strict=True))
                return 0
        self.values |= dict.fromkeys(names.split())
        self.unknown |= dict.fromkeys(names.split(), reason)
        return code

    def form(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.values, "unknown": self.unknown}


def main() -> None:
    """Print everything; for an unknown value, print the reason."""
    # In a container, the kit's code runs as the same user: it must not change the answers.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as error:
        # Without the library, importing the client would waste 50 ms.
        _print({"access": "no-library", "reason": str(error), "unknown": {}})
        return
    try:
        import pynvml as client  # noqa: PLC0415
    except ImportError as error:
        _print({"access": "no-client", "reason": str(error), "unknown": {}})
        return
    for form in _forms(client):
        _print(form)


def _forms(client: Any) -> Iterator[dict[str, Any]]:
    machine = _Answers(client)
    access, reason = "ok", None
    try:
        client.nvmlInit()
    except client.NVMLError as error:
        access, reason = _ACCESS.get(error.value, "failed"), _reason(error)
    # The client has now loaded the library, even if a call failed, so its version can be read.
    machine.ask("library", client.nvmlSystemGetNVMLVersion)
    if access != "ok":
        yield {**machine.form(), "access": access, "reason": reason}
        return
    machine.ask("driver", client.nvmlSystemGetDriverVersion)
    _ask_cuda(machine, client)
    machine.ask("count", client.nvmlDeviceGetCount)
    yield {**machine.form(), "access": "ok", "reason": None}
    for index in range(machine.values["count"] or 0):
        yield _gpu(client, index)
    # No nvmlShutdown, which could also fail or hang: this process ends anyway.
    yield {}


def _ask_cuda(machine: _Answers, client: Any) -> None:
    """Query the newest CUDA version that works: from libcuda or, if that is missing, from NVML."""

    def later() -> tuple[int, int]:
        return _version(client.nvmlSystemGetCudaDriverVersion_v2())

    def earlier() -> tuple[int, int]:
        return _version(client.nvmlSystemGetCudaDriverVersion())

    code = machine.ask("cuda", later)
    machine.values["libcuda"] = {0: True, _LIBRARY_NOT_FOUND: False}.get(code)
    if code in (*_TOO_OLD, _LIBRARY_NOT_FOUND):
        reason = machine.unknown.pop("cuda")
        machine.ask("cuda", earlier)
        if code != _LIBRARY_NOT_FOUND:
            machine.unknown["libcuda"] = reason


def _version(number: int) -> tuple[int, int]:
    """Parse 12040 as 12.4 (cudaDriverGetVersion: 1000 times major plus 10 times minor)."""
    return number // 1000, number % 1000 // 10


def _gpu(client: Any, index: int) -> dict[str, Any]:
    gpu = _Answers(client)
    code = gpu.ask("handle", partial(client.nvmlDeviceGetHandleByIndex, index))
    handle = gpu.values.pop("handle")
    identity = {"index": index, "lost": code == _GPU_IS_LOST}
    if handle is None:
        return {**identity, "unknown": {"": gpu.unknown["handle"]}}
    gpu.ask("name", partial(client.nvmlDeviceGetName, handle))
    gpu.ask("uuid", partial(client.nvmlDeviceGetUUID, handle))
    gpu.ask("compute_capability", partial(client.nvmlDeviceGetCudaComputeCapability, handle))
    gpu.ask("mig_enabled", lambda: bool(client.nvmlDeviceGetMigMode(handle)[0]))
    code = _ask_memory(gpu, client, handle)
    # A GPU without its own memory, such as the GB10, reports none:
    # https://docs.nvidia.com/dgx/dgx-spark/known-issues.html
    unified = code == _NOT_SUPPORTED and not gpu.values["mig_enabled"]
    _ask_health(gpu, client, handle)
    processes = _processes(gpu, client, handle)
    slices = _slices(gpu, client, handle) if gpu.values["mig_enabled"] else []
    lost = _reason(client.NVMLError(_GPU_IS_LOST)) in gpu.unknown.values()
    return {
        **identity,
        **gpu.form(),
        "lost": lost,
        "unified_memory": unified,
        "processes": processes,
        "slices": slices,
    }


def _ask_memory(gpu: _Answers, client: Any, handle: Any) -> int:
    """Query the memory; only newer drivers report their own reserve separately.

    The older version of the call counts it as used.
    """

    def later() -> tuple[int, int, int, int]:
        found = client.nvmlDeviceGetMemoryInfo(handle, client.nvmlMemory_v2)
        return found.total, found.free, found.used, found.reserved

    def earlier() -> tuple[int, int, int, None]:
        found = client.nvmlDeviceGetMemoryInfo(handle)
        gpu.unknown["memory_reserved_bytes"] = (
            "the driver is too old to report it separately from used"
        )
        return found.total, found.free, found.used, None

    names = ("memory_total_bytes", "memory_free_bytes", "memory_used_bytes")
    return gpu.ask(f"{' '.join(names)} memory_reserved_bytes", later, earlier)


def _ask_health(gpu: _Answers, client: Any, handle: Any) -> None:
    def slowed_by(bits: int) -> list[str]:
        return [name for bit, name in _SLOWED.items() if bits & bit]

    gpu.ask("ecc_enabled", lambda: bool(client.nvmlDeviceGetEccMode(handle)[0]))
    errors = partial(client.nvmlDeviceGetTotalEccErrors, handle, _UNCORRECTED, _VOLATILE)
    gpu.ask("ecc_uncorrected", errors)

    def remapped() -> tuple[int, bool, bool]:
        corrected, uncorrected, pending, failed = client.nvmlDeviceGetRemappedRows(handle)
        return corrected + uncorrected, bool(pending), bool(failed)

    gpu.ask("remapped_rows remap_pending remap_failed", remapped)
    retired = client.nvmlDeviceGetRetiredPagesPendingStatus
    gpu.ask("retired_pages_pending", lambda: bool(retired(handle)))
    gpu.ask(
        "slowed_by",
        lambda: slowed_by(client.nvmlDeviceGetCurrentClocksEventReasons(handle)),
        lambda: slowed_by(client.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
    )


def _processes(gpu: _Answers, client: Any, handle: Any) -> list[dict[str, Any]]:
    """List the processes that use memory; NVML has two lists, for compute and for graphics."""
    found: dict[int, dict[str, Any]] = {}
    for kind in ("compute", "graphics"):
        asked = f"nvmlDeviceGet{kind.title()}RunningProcesses_v"
        answers = _Answers(client)
        answers.ask(
            "found",
            partial(getattr(client, f"{asked}3"), handle),
            partial(getattr(client, f"{asked}2"), handle),
        )
        if answers.unknown:
            gpu.unknown["processes"] = f"{kind}: {answers.unknown['found']}"
        for item in answers.values["found"] or ():
            known = found.setdefault(
                item.pid,
                {
                    "pid": item.pid,
                    "name": _process_name(client, item.pid),
                    "memory_bytes": item.usedGpuMemory,
                    "kinds": [],
                },
            )
            known["kinds"].append(kind)
    return list(found.values())


def _process_name(client: Any, pid: int) -> str | None:
    try:
        name: str = client.nvmlSystemGetProcessName(pid)
    except (client.NVMLError, UnicodeError):
        return None
    # Some drivers return the whole command line, whose arguments may be private.
    return name.partition(" ")[0] or None


def _slices(gpu: _Answers, client: Any, handle: Any) -> list[dict[str, Any]]:
    found = []
    gpu.ask("most", partial(client.nvmlDeviceGetMaxMigDeviceCount, handle))
    for index in range(gpu.values.pop("most") or 0):
        try:
            part = client.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except client.NVMLError as error:
            if error.value != _NOT_FOUND:
                gpu.unknown["slices"] = _reason(error)
            continue
        found.append({"index": index, **_slice(client, part)})
    if "most" in gpu.unknown:
        gpu.unknown["slices"] = gpu.unknown.pop("most")
    return found


def _slice(client: Any, handle: Any) -> dict[str, Any]:
    part = _Answers(client)

    def attributes() -> tuple[int, int, int]:
        item = client.nvmlDeviceGetAttributes(handle)
        slices = item.computeInstanceSliceCount, item.gpuInstanceSliceCount
        return (*slices, item.multiprocessorCount)

    part.ask("name", partial(client.nvmlDeviceGetName, handle))
    part.ask("uuid", partial(client.nvmlDeviceGetUUID, handle))
    part.ask("compute_slices gpu_slices multiprocessors", attributes)
    _ask_memory(part, client, handle)
    return part.form()


def _reason(error: Exception) -> str:
    code = getattr(error, "value", None)
    # The client returns bytes from the library for codes that it does not know.
    text = str(error).removeprefix("b'").removesuffix("'").removesuffix(".")
    return f"{text} (NVML error {code})" if isinstance(code, int) else text


def _print(form: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(form) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # The client's folder; this process can import no other packages.
    sys.path.extend(sys.argv[1:])
    main()
