"""Facts are read from the kernel's files, and what is not there is None, not a guess."""

from pathlib import Path

import pytest

from mealkit.preflight.facts import Disk, Facts, Roots, read_facts

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


@pytest.fixture
def tree(tmp_path):
    """Write files below a root, and read the facts from there."""

    def read(files: dict[str, str], machine: str = "x86_64") -> Facts:
        for name in ("proc", "sys", "dev"):
            (tmp_path / name).mkdir(exist_ok=True)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        roots = Roots(tmp_path / "proc", tmp_path / "sys", tmp_path / "dev")
        return read_facts(roots=roots, machine=machine)

    return read


def test_memory_of_the_machine(tree):
    """Total and available memory come from meminfo, in bytes."""
    facts = tree({"proc/meminfo": MEMINFO})
    assert facts.memory_total_bytes == 32617080 * 1024
    assert facts.memory_available_bytes == 16000000 * 1024
    assert facts.memory_limit_bytes is None
    assert facts.usable_memory_bytes == facts.memory_total_bytes


def test_nothing_can_be_read(tree):
    """Where the kernel shows nothing, every fact is unknown."""
    facts = tree({}, machine="riscv64")
    assert facts == Facts("riscv64", None, None, None, (), (), None)
    assert facts.usable_memory_bytes is None


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
def test_cgroup_limits(tree, files, limit):
    """The limit of a cgroup is found for v1 and v2, on a host and in a container."""
    facts = tree({"proc/meminfo": MEMINFO, **files})
    assert facts.memory_limit_bytes == limit
    assert facts.usable_memory_bytes == (limit or facts.memory_total_bytes)


def test_gpus(tree):
    """Device files of GPUs are told from those that only control them."""
    files = {"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": ""}
    facts = tree({**files, "proc/driver/nvidia/version": DRIVER})
    assert facts.gpu_devices == ("nvidia0", "nvidia1")
    assert facts.nvidia_driver == "550.54.15"
    assert tree({"dev/kfd": ""}).gpu_devices[0] == "kfd"


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    """Free space is that of the nearest folder that exists."""
    missing = tmp_path / "a" / "b"
    (disk,) = read_facts((missing,)).disks
    assert disk.path == missing
    assert isinstance(disk, Disk)
    assert disk.free_bytes > 0


def test_facts_of_this_machine():
    """On Linux this machine has an architecture and some memory."""
    facts = read_facts((Path("/"),))
    assert facts.architecture
    assert facts.usable_memory_bytes
