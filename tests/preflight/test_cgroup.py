"""The limits of this process's control groups, in versions 1 and 2."""

import pytest

MEMINFO = """\
MemTotal:       32617080 kB
MemFree:         1234567 kB
MemAvailable:   16000000 kB
HugePages_Total:       0
"""
GIB = 1024**3
# What a kernel of 4 KiB pages shows in cgroup v1 for "no limit".
V1_NO_LIMIT = "9223372036854771712\n"


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
