"""NVIDIA's side, by NVIDIA's own client, over recorded machines: every fault is a fact."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.machines import (
    LIBRARY,
    MACHINES,
    driver_of,
    lines_of,
    machine,
    machine_names,
    stand_in,
)

from mealkit.preflight.facts import Facts, read_facts
from mealkit.preflight.nvidia import Access

MIB = 1024**2
# name: access, driver, CUDA, and of each GPU: capability, total, free, reserved (MiB), MIG slices.
EXPECTED = {
    "no-gpu": (Access.OK, "535.161.08", (12, 2), []),
    "no-driver": (Access.NO_DRIVER, None, None, []),
    "version-mismatch": (Access.VERSION_MISMATCH, "535.161.08", None, []),
    "l4": (Access.OK, "550.90.07", (12, 4), [((8, 9), 23034, 22479, 556, 0)]),
    "held": (Access.OK, "535.154.05", (12, 2), [((8, 9), 24564, 3888, 346, 0)]),
    "a100x2": (Access.OK, "535.129.03", (12, 2), 2 * [((8, 0), 40960, 40334, 620, 0)]),
    "h100x8": (Access.OK, "535.161.08", (12, 2), 8 * [((9, 0), 81559, 81007, 551, 0)]),
    "mig": (Access.OK, "535.129.03", (12, 2), [((8, 0), 40960, 40318, 620, 2)]),
    "mig-container": (Access.OK, "535.129.03", (12, 2), [((8, 0), None, None, None, 1)]),
    # 128501256192 and 7976902656 bytes of the machine's own memory
    "gb10": (Access.OK, "580.95.05", (13, 0), [((12, 1), 122548.34765625, 7607.36718750, None, 0)]),
    "v100-old-driver": (Access.OK, "470.129.06", (11, 4), [((7, 0), 32510, 32510, None, 0)]),
    "ecc-fault": (Access.OK, "535.129.03", (12, 2), 2 * [((8, 0), 40960, 40334, 620, 0)]),
    "gpu-lost": (
        Access.OK,
        "535.129.03",
        (12, 2),
        [((8, 0), 40960, 40334, 620, 0), (None, None, None, None, 0)],
    ),
}


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


def test_every_recording_is_expected():
    """No machine is recorded without a row in the table of this test."""
    assert sorted(EXPECTED) == machine_names()


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_machine(name):
    """Each recorded machine gives the facts of the table, through NVIDIA's client."""
    began = time.perf_counter()
    facts = machine(name)
    print(f"{name}: {time.perf_counter() - began:.3f} s")
    nvidia = facts.nvidia
    access, driver, cuda, gpus = EXPECTED[name]
    assert (nvidia.access, nvidia.driver, nvidia.cuda) == (access, driver, cuda)
    assert nvidia.library == lines_of((MACHINES / f"{name}.machine").read_text())["nvml"]
    assert (nvidia.reason is None) == (access is Access.OK)
    assert [
        (
            gpu.compute_capability,
            _mib(gpu.memory_total_bytes),
            _mib(gpu.memory_free_bytes),
            _mib(gpu.memory_reserved_bytes),
            len(gpu.slices),
        )
        for gpu in nvidia.gpus
    ] == gpus
    assert [gpu.index for gpu in nvidia.gpus] == list(range(len(gpus)))
    assert Facts.model_validate_json(facts.model_dump_json()) == facts


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_none_has_a_reason(name):
    """Of a GPU or a slice nothing is silently missing: each None has its reason, and no other."""
    for gpu in machine(name).nvidia.gpus:
        for part in (gpu, *gpu.slices):
            missing = {field for field in type(part).model_fields if getattr(part, field) is None}
            assert missing - set(part.unknown) == set()
            told = set(part.unknown) - missing
            assert told <= {"processes", "slices", "unified_memory"}


def test_memory_held_by_another_process():
    """Who holds a GPU's memory is named, with how much."""
    (gpu,) = machine("held").nvidia.gpus
    (process,) = gpu.processes
    assert (process.pid, process.name) == (58130, "/usr/bin/python")
    assert (process.memory_bytes, process.kinds) == (20322 * MIB, ("compute",))


def test_a_process_that_computes_and_draws(recording):
    """A process in both of NVML's lists is one process; what cannot be told of it is None."""
    changes = {
        "gpu.0.compute": "12636 60 MiB",
        "gpu.0.graphics": "12636 60 MiB",
        "process.12636": "/opt/program --token=secret",
    }
    (process,) = recording("held", changes).nvidia.gpus[0].processes
    assert process.kinds == ("compute", "graphics")
    assert process.name == "/opt/program"
    changes = {"gpu.0.compute": "77 -"}
    (process,) = recording("held", changes).nvidia.gpus[0].processes
    assert (process.name, process.memory_bytes) == (None, None)


def test_slices():
    """MIG devices have their own identity and memory, also where the card's is not to be seen."""
    (gpu,) = machine("mig").nvidia.gpus
    assert gpu.mig_enabled
    assert [part.uuid for part in gpu.slices] == [
        "MIG-c7384736-a75d-5afc-978f-d2f1294409fd",
        "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d",
    ]
    assert [part.memory_total_bytes for part in gpu.slices] == [20224 * MIB, 20096 * MIB]
    assert [part.memory_free_bytes for part in gpu.slices] == [20213 * MIB, 20085 * MIB]
    assert {(part.compute_slices, part.multiprocessors) for part in gpu.slices} == {(3, 42)}
    (gpu,) = machine("mig-container").nvidia.gpus
    assert gpu.unknown["memory_total_bytes"] == "Insufficient Permissions (NVML error 4)"
    assert gpu.unknown["processes"] == "compute: Insufficient Permissions (NVML error 4)"
    assert [part.memory_total_bytes for part in gpu.slices] == [20096 * MIB]
    assert not gpu.unified_memory


def test_slices_that_are_refused(recording):
    """Slices that may not be seen are said to be unknown; the others are there."""
    (gpu,) = recording("mig", {"gpu.0.slice.0.handle": "!4"}).nvidia.gpus
    assert [part.index for part in gpu.slices] == [1]
    assert gpu.unknown["slices"] == "Insufficient Permissions (NVML error 4)"


def test_unified_memory():
    """A GPU without memory of its own shows the machine's, and says so."""
    facts = machine("gb10")
    (gpu,) = facts.nvidia.gpus
    assert gpu.unified_memory
    assert gpu.memory_total_bytes == facts.memory_total_bytes == 128501256192
    assert gpu.memory_free_bytes == facts.memory_available_bytes == 7976902656
    assert gpu.unknown["memory_used_bytes"] == "Not Supported (NVML error 3)"
    assert facts.architecture == "arm64"
    assert not any(item.unified_memory for item in machine("a100x2").nvidia.gpus)


def test_old_driver():
    """Functions that came later are done without: memory, processes and clocks the older way."""
    facts = machine("v100-old-driver")
    (gpu,) = facts.nvidia.gpus
    assert gpu.memory_used_bytes == 0
    assert (
        gpu.unknown["memory_reserved_bytes"]
        == "the driver is too old to report it separately from used"
    )
    assert (gpu.processes, gpu.slowed_by) == ((), ())
    assert gpu.retired_pages_pending is False
    assert gpu.unknown["remap_pending"] == "Not Supported (NVML error 3)"


def test_processes_of_an_old_driver(recording):
    """Before driver 510 processes come in the second version of NVML's lists."""
    changes = {"gpu.0.compute": "88420 1024 MiB", "process.88420": "python"}
    (process,) = recording("v100-old-driver", changes).nvidia.gpus[0].processes
    assert (process.pid, process.memory_bytes) == (88420, 1024 * MIB)


def test_bad_memory():
    """Uncorrectable errors and a pending remap are told of the card that has them."""
    good, bad = machine("ecc-fault").nvidia.gpus
    assert (good.ecc_enabled, good.ecc_uncorrected, good.remap_pending) == (True, 0, False)
    assert (bad.ecc_uncorrected, bad.remapped_rows, bad.remap_pending) == (1, 4, True)
    assert bad.remap_failed is False


def test_slowed_down():
    """Why a card is slow is told, and idleness is no reason."""
    assert machine("h100x8").nvidia.gpus[3].slowed_by == (
        "hardware slowdown",
        "hardware power brake",
    )
    assert machine("l4").nvidia.gpus[0].slowed_by == ()


def test_gpu_off_the_bus():
    """A lost card is a fact beside the ones that answer, and each of its facts says why."""
    nvidia = machine("gpu-lost").nvidia
    good, lost = nvidia.gpus
    assert (good.lost, lost.lost) == (False, True)
    assert lost.unknown["memory_total_bytes"] == "GPU is lost (NVML error 15)"
    assert nvidia.count == 2


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        # Newer drivers say "Unknown Error" (NVIDIA/open-gpu-kernel-modules#387).
        ({"gpu.1.handle": "!999"}, False),
        # It falls off while it is asked.
        ({"gpu.1.memory_free": "!15"}, True),
    ],
)
def test_gpu_that_fails_otherwise(recording, changes, lost):
    """A card whose answers fail in another way costs only its own facts."""
    good, bad = recording("a100x2", changes).nvidia.gpus
    assert good.memory_free_bytes == 40334 * MIB
    assert bad.memory_free_bytes is None
    assert bad.unknown["memory_free_bytes"]
    assert bad.lost is lost


@pytest.mark.parametrize(
    ("code", "access"),
    [(4, Access.NO_PERMISSION), (9, Access.NO_DRIVER), (13, Access.OLD_LIBRARY), (999, "failed")],
)
def test_driver_that_refuses(recording, code, access):
    """Each way to refuse at the door is told apart, in the driver's own words."""
    nvidia = recording("l4", {"init": f"!{code}"}).nvidia
    assert nvidia.access == access
    assert f"(NVML error {code})" in nvidia.reason
    assert (nvidia.gpus, nvidia.count) == ((), None)
    assert nvidia.driver == "550.90.07"  # the kernel still tells


def test_container_without_libcuda(recording):
    """Where only NVML was mounted, CUDA's version comes from it, and libcuda is missed."""
    nvidia = recording("l4", {"libcuda": "!12"}).nvidia
    assert (nvidia.cuda, nvidia.libcuda) == ((12, 4), False)
    assert machine("l4").nvidia.libcuda is True
    nvidia = recording("l4", {"libcuda": "!13"}).nvidia
    assert (nvidia.cuda, nvidia.libcuda) == ((12, 4), None)
    assert nvidia.unknown["libcuda"] == "Function Not Found (NVML error 13)"


def test_count_that_is_refused(recording):
    """If not even the number of GPUs is told, that is what is unknown."""
    nvidia = recording("l4", {"gpus": "!999"}).nvidia
    assert (nvidia.access, nvidia.count, nvidia.gpus) == (Access.OK, None, ())
    assert nvidia.unknown["count"] == "Unknown Error (NVML error 999)"


def test_no_library(monkeypatch):
    """Without the library there is no NVIDIA here, and the loader's words say so."""
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has the library")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    nvidia = read_facts().nvidia
    assert nvidia.access is Access.NO_LIBRARY
    assert LIBRARY in nvidia.reason


def test_library_of_something_else(tmp_path, monkeypatch):
    """A file that is no library is told as the loader tells it."""
    (tmp_path / LIBRARY).write_bytes((stand_in() / LIBRARY).read_bytes()[:100])
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    nvidia = read_facts().nvidia
    assert nvidia.access is Access.NO_LIBRARY
    assert str(tmp_path / LIBRARY) in nvidia.reason


def test_library_that_is_too_old(tmp_path, monkeypatch):
    """A library that lacks the first function that the client calls is too old, not broken."""
    source = tmp_path / "old.c"
    source.write_text("int nvmlInit(void) { return 0; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / LIBRARY, source], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    nvidia = read_facts().nvidia
    assert nvidia.access is Access.OLD_LIBRARY
    assert nvidia.unknown["library"] == "Function Not Found (NVML error 13)"


def test_without_nvidias_client(monkeypatch):
    """Where the package nvidia-ml-py is missing, that is the fact, not an import error."""
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if not _has_client(entry)])
    with driver_of(MACHINES / "l4.machine"):
        nvidia = read_facts().nvidia
    assert nvidia.access is Access.NO_CLIENT
    assert "pynvml" in nvidia.reason


def _has_client(entry: str) -> bool:
    return (Path(entry) / "pynvml.py").exists()


@pytest.mark.gpu
def test_a_real_gpu():
    """On a machine with a GPU the real library gives what the model needs to hold."""
    began = time.perf_counter()
    facts = read_facts()
    print(f"{time.perf_counter() - began:.3f} s\n{facts.nvidia.model_dump_json(indent=1)}")
    assert facts.nvidia.access is Access.OK
    assert facts.nvidia.driver
    assert facts.nvidia.count == len(facts.nvidia.gpus) > 0
    for gpu in facts.nvidia.gpus:
        assert gpu.uuid
        assert gpu.compute_capability
        assert gpu.memory_total_bytes >= gpu.memory_free_bytes
    assert Facts.model_validate_json(facts.model_dump_json()) == facts
