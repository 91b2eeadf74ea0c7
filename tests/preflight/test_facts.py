"""Facts are read from the kernel's files, and what is not there is None with a reason, no guess."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.machines import made_facts

from mealkit.errors import PreflightError
from mealkit.preflight.facts import parse_facts, read_facts

MEMINFO = """\
MemTotal:       32617080 kB
MemFree:         1234567 kB
MemAvailable:   16000000 kB
HugePages_Total:       0
"""
DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    "GCC version:  gcc version 12.2.0\n"
)


def test_memory_of_the_machine(tree):
    """Total and available memory come from meminfo, in bytes."""
    facts = tree({"proc/meminfo": MEMINFO})
    assert facts.memory_total_bytes == 32617080 * 1024
    assert facts.memory_available_bytes == 16000000 * 1024
    assert facts.memory_limit_bytes is None
    assert facts.usable_memory_bytes == facts.memory_total_bytes
    assert facts.unknown == {}


def test_nothing_can_be_read(tree, tmp_path):
    """Where the kernel shows nothing, what it should show is unknown, and it is said why."""
    facts = tree({}, machine="riscv64")
    assert (facts.memory_total_bytes, facts.memory_available_bytes) == (None, None)
    assert facts.usable_memory_bytes is None
    reason = f"{tmp_path}/proc/meminfo: No such file or directory"
    assert facts.unknown == {"memory_total_bytes": reason, "memory_available_bytes": reason}
    assert (facts.cpu.model, facts.cpu.features) == (None, ())
    assert set(facts.cpu.unknown) == {"model", "features"}
    assert (facts.shm.total_bytes, set(facts.shm.unknown)) == (None, {"total_bytes", "free_bytes"})
    assert (facts.disks, facts.gpu_devices) == ((), ())
    assert facts.nvidia.driver is None
    assert (facts.amd.kfd, facts.amd.gpus, facts.amd.unknown) == (False, (), {})
    assert facts.toolkit.cdi == ()


def test_memory_that_meminfo_does_not_tell(tree, tmp_path):
    """A kernel without MemAvailable leaves it unknown, and the reason names the file."""
    facts = tree({"proc/meminfo": "MemTotal:  1024 kB\n"})
    assert facts.memory_total_bytes == 1024 * 1024
    assert facts.unknown == {"memory_available_bytes": f"{tmp_path}/proc/meminfo does not state it"}


def test_gpu_devices(tree):
    """Device files of GPUs are told from those that only control them."""
    files = {"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": ""}
    facts = tree({**files, "proc/driver/nvidia/version": DRIVER})
    assert facts.gpu_devices == ("nvidia0", "nvidia1")
    assert facts.nvidia.driver == "550.54.15"
    assert tree({"dev/kfd": ""}).gpu_devices[0] == "kfd"


def test_facts_travel_as_json():
    """What was written on one machine is the same on another, to the last field."""
    facts = read_facts((Path("/"),))
    assert parse_facts(facts.model_dump_json().encode(), "a.json") == facts
    indented = json.dumps(json.loads(facts.model_dump_json()), indent=2).encode()
    assert parse_facts(indented, "a.json") == facts


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff", b'{"format": "mealkit.facts/v2"}', b'[{"host": "a"}]'],
)
def test_what_is_no_facts_is_refused(data):
    """Another file, or facts of another form, are refused with the file's name."""
    with pytest.raises(PreflightError) as caught:
        parse_facts(data, "servers/a.json")
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("FACTS_INVALID", "servers/a.json")


def test_a_flipped_field_is_refused():
    """A number that became text, and a field too many, do not pass."""
    form = json.loads(made_facts().model_dump_json())
    for change in ({"memory_total_bytes": "16"}, {"more": 1}):
        with pytest.raises(PreflightError):
            parse_facts(json.dumps(form | change).encode(), "a.json")


def test_facts_of_this_machine():
    """On Linux this machine has an architecture, a kernel and some memory."""
    facts = read_facts((Path("/"),))
    assert facts.architecture
    assert facts.usable_memory_bytes
    assert facts.kernel == os.uname().release
    assert facts.shm.total_bytes is None or facts.shm.total_bytes > 0


def test_reading_facts_needs_no_torch_and_little_time():
    """A fresh interpreter reads them without torch or NVIDIA's client in it; the time is printed."""
    program = (
        "import sys, time; began = time.perf_counter()\n"
        "from mealkit.preflight.facts import read_facts\n"
        "imported = time.perf_counter(); read_facts(); done = time.perf_counter()\n"
        "print(sorted({'torch', 'pynvml', 'yaml', 'docker'} & set(sys.modules)))\n"
        "print(f'imports {imported - began:.3f} s, facts {done - imported:.3f} s')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded, took = done.stdout.splitlines()
    print(took)
    assert loaded == "[]"
