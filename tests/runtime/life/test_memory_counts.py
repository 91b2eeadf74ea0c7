"""The control group's limit, peak and kills are read in both versions, and absent where unknown."""

import pytest

from mealkit.runtime.life.memory_counts import MemoryState, memory_state


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def own(tmp_path):
    return tmp_path / "cgroup"


def test_version_2(tmp_path, own):
    """The tightest limit of the group and those above; the kills of the group itself."""
    own.write_text("0::/pod/kit\n")
    system = tmp_path / "sys"
    write(system / "pod", {"memory.max": "1000\n", "memory.peak": "999\n"})
    events = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\noom_group_kill 0\n"
    write(system / "pod" / "kit", {"memory.max": "max\n", "memory.events": events})
    assert memory_state(system, own) == MemoryState(1000, 999, 3)


def test_version_2_without_a_peak(tmp_path, own):
    """Kernels before 5.19 know what is in use now."""
    own.write_text("0::/\n")
    write(tmp_path / "sys", {"memory.max": "4096", "memory.current": "1024"})
    assert memory_state(tmp_path / "sys", own) == MemoryState(4096, 1024, None)


def test_version_1_in_a_container(tmp_path, own):
    """The path is the host's, and only the top is there."""
    own.write_text("8:pids:/docker/ab\n4:memory:/docker/ab\n0::/docker/ab\n")
    write(
        tmp_path / "sys" / "memory",
        {
            "memory.limit_in_bytes": "67108864\n",
            "memory.max_usage_in_bytes": "67104768\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        },
    )
    assert memory_state(tmp_path / "sys", own) == MemoryState(67108864, 67104768, 1)


def test_no_limit(tmp_path, own):
    """Version 1 writes a number for it."""
    own.write_text("4:memory:/\n")
    write(tmp_path / "sys" / "memory", {"memory.limit_in_bytes": "9223372036854771712\n"})
    assert memory_state(tmp_path / "sys", own) == MemoryState(None, None, None)


def test_nothing_to_read(tmp_path, own):
    """As in a sandbox without /sys."""
    assert memory_state(tmp_path / "sys", own) == MemoryState(None, None, None)
    own.write_text("not a line of it\n")
    assert memory_state(tmp_path / "sys", own) == MemoryState(None, None, None)
