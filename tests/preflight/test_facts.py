"""Facts are read from the kernel's files, and what is not there is None with a reason, no guess."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.machines import made_facts

from mealkit.errors import PreflightError
from mealkit.preflight.facts import Facts, parse_facts, read_facts
from mealkit.preflight.roots import Roots

MEMINFO = """\
MemTotal:       32617080 kB
MemFree:         1234567 kB
MemAvailable:   16000000 kB
HugePages_Total:       0
"""
GIB = 1024**3
# What a kernel of 4 KiB pages shows in cgroup v1 for "no limit".
V1_NO_LIMIT = "9223372036854771712\n"
DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    "GCC version:  gcc version 12.2.0\n"
)
ROOTS = ("proc", "sys", "dev", "etc", "run")
NODES = "sys/class/kfd/kfd/topology/nodes"


@pytest.fixture
def tree(tmp_path):
    """Write files below a root, and read the facts from there."""

    def read(files: dict[str, str], machine: str = "x86_64") -> Facts:
        for name in ROOTS:
            (tmp_path / name).mkdir(exist_ok=True)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_facts(roots=Roots(*(tmp_path / name for name in ROOTS)), machine=machine)

    return read


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


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_architecture_in_gos_names(tree, machine, name):
    """Architectures have the names that images use."""
    assert tree({}, machine=machine).architecture == name


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        # v2 in a container: the cgroup is its own root.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"}, GIB),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
        # v2 on a host: the tightest limit of the cgroup and those above it.
        (
            {
                "proc/self/cgroup": "0::/user.slice/session-1.scope\n",
                "sys/fs/cgroup/user.slice/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/user.slice/session-1.scope/memory.max": f"{4 * GIB}\n",
            },
            2 * GIB,
        ),
        # v1 in a container: the path is the host's, the mounted folder is the container's.
        (
            {
                "proc/self/cgroup": "9:memory:/docker/0123abcd\n5:cpu,cpuacct:/docker/0123abcd\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}\n",
            },
            3 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NO_LIMIT,
            },
            None,
        ),
        # Outside of the namespace's root.
        ({"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"}, GIB),
        ({"proc/self/cgroup": "garbage\n0::\n"}, None),
    ],
)
def test_cgroup_memory(tree, files, limit):
    """The limit of a cgroup is found for v1 and v2, on a host and in a container."""
    facts = tree({"proc/meminfo": MEMINFO, **files})
    assert facts.memory_limit_bytes == limit
    assert facts.usable_memory_bytes == (limit or facts.memory_total_bytes)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "100000 50000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/0123abcd\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, None),
    ],
)
def test_cgroup_processors(tree, files, limit):
    """The processor time that a cgroup allows is found for v1 and v2."""
    assert tree(files).cpu.limit == limit


def test_processors(tree):
    """The model and the instructions that engines look for are told, on Intel's and on Arm's."""
    flags = "fpu sse4_2 avx avx2 fma avx512f avx512_vnni amx_tile amx_int8 md_clear avx512_other"
    text = f"processor\t: 0\nmodel name\t: Intel(R) Xeon(R) 8481C\nflags\t\t: {flags}\n"
    cpu = tree({"proc/cpuinfo": text}).cpu
    assert cpu.model == "Intel(R) Xeon(R) 8481C"
    found = ("amx_int8", "amx_tile", "avx", "avx2", "avx512_vnni", "avx512f", "fma", "sse4_2")
    assert (cpu.features, cpu.unknown) == (found, {})
    assert cpu.count == len(os.sched_getaffinity(0))
    arm = tree({"proc/cpuinfo": "processor : 0\nFeatures : fp asimd sve i8mm\nCPU part : 0xd85\n"})
    assert arm.cpu.features == ("asimd", "i8mm", "sve")
    assert list(arm.cpu.unknown) == ["model"]


def test_gpu_devices(tree):
    """Device files of GPUs are told from those that only control them."""
    files = {"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": ""}
    facts = tree({**files, "proc/driver/nvidia/version": DRIVER})
    assert facts.gpu_devices == ("nvidia0", "nvidia1")
    assert facts.nvidia.driver == "550.54.15"
    assert tree({"dev/kfd": ""}).gpu_devices[0] == "kfd"


def test_amd(tree):
    """AMD's GPUs come from the kernel's topology: target and memory; processors are none of them."""
    # MI325X and the numbers of its node: a test in a public Rust crate ("mi325x"); bank: a public
    # test tree of an MI300X; what is used is made up.
    properties = "cpu_cores_count 0\nsimd_count 304\ngfx_target_version 90402\nvendor_id 4098\n"
    facts = tree(
        {
            "dev/kfd": "",
            f"{NODES}/0/properties": "cpu_cores_count 48\nsimd_count 0\ngfx_target_version 0\n",
            f"{NODES}/10/properties": f"{properties}drm_render_minor 129\n",
            f"{NODES}/2/properties": f"{properties}drm_render_minor 128\n",
            f"{NODES}/2/mem_banks/0/properties": "heap_type 1\nsize_in_bytes 206141652992\n",
            f"{NODES}/2/mem_banks/1/properties": "heap_type 0\nsize_in_bytes 4096\n",
            "sys/class/drm/renderD128/device/mem_info_vram_used": "297107456\n",
        }
    )
    assert facts.amd.kfd
    first, second = facts.amd.gpus
    assert (first.node, first.target, first.unknown) == (2, "gfx942", {})
    assert (first.memory_total_bytes, first.memory_used_bytes) == (206141652992, 297107456)
    assert (second.node, second.memory_total_bytes, second.memory_used_bytes) == (10, None, None)
    assert set(second.unknown) == {"memory_total_bytes", "memory_used_bytes"}


def test_amd_that_a_container_may_not_see(tree):
    """Nodes that the kernel shows empty are unknown, not absent; a stepping can be a letter."""
    facts = tree({f"{NODES}/0/properties": "", f"{NODES}/1/properties": "simd_count 4\n"})
    assert f"{NODES}/0/properties does not state it" in facts.amd.unknown["gpus"]
    assert facts.amd.gpus[0].target is None
    gfx90a = {f"{NODES}/1/properties": "simd_count 4\ngfx_target_version 90010\n"}
    assert tree(gfx90a).amd.gpus[0].target == "gfx90a"


def test_toolkit(tree, tmp_path, monkeypatch):
    """NVIDIA's toolkit is known by its programs, CDI by its specs, in YAML or JSON."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "nvidia-ctk").write_text("#!/bin/sh\n")
    (programs / "nvidia-ctk").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    yaml = '---\ncdiVersion: "0.5.0"\nkind: nvidia.com/gpu\ndevices:\n  - name: "0"\n'
    files = {
        "etc/cdi/nvidia.yaml": yaml,
        "run/cdi/amd.json": '{\n  "cdiVersion": "0.6.0",\n  "kind": "amd.com/gpu"\n}\n',
        "run/cdi/broken.yaml": "nothing\n",
        "run/cdi/README": "kind: not/a-spec\n",
    }
    toolkit = tree(files).toolkit
    assert toolkit.installed
    assert toolkit.programs == {"nvidia-ctk": str(programs / "nvidia-ctk")}
    assert [spec.kind for spec in toolkit.cdi] == ["nvidia.com/gpu", "amd.com/gpu", None]
    assert "does not state it" in toolkit.cdi[2].unknown["kind"]
    assert toolkit.describes("nvidia.com/gpu")
    assert not toolkit.describes("intel.com/gpu")


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    """Free space is that of the nearest folder that exists."""
    missing = tmp_path / "a" / "b"
    (disk,) = read_facts((missing,)).disks
    assert disk.path == missing
    assert 0 < disk.free_bytes <= disk.total_bytes


def test_disk_that_cannot_be_read(tmp_path):
    """A path that leads nowhere has unknown space, and a reason."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (disk,) = read_facts((loop,)).disks
    assert (disk.free_bytes, disk.total_bytes) == (None, None)
    assert "symbolic links" in disk.unknown["free_bytes"]


def test_ulimits_are_those_of_this_process():
    """The limits are told as they hold here; none is None."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    facts = read_facts()
    assert facts.ulimits.open_files == soft
    assert facts.ulimits.unknown == {}


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
