"""Control groups are made where this user may make them, and only there."""

import pytest

from mealkit.containers.sandbox_groups import make_group, memory_parent, processes_parent


@pytest.fixture
def system(tmp_path):
    """A folder in the place of /sys/fs/cgroup."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def own(tmp_path, *lines):
    path = tmp_path / "own"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("here", "above", "expected"),
    [
        ("cpu memory", "memory", "user/me"),
        ("", "memory", "user"),
        ("cpu", "cpu", None),
        ("", None, None),
    ],
)
def test_in_version_2_the_nearest_group_that_delegates_memory_is_taken(
    system, tmp_path, here, above, expected
):
    """A group with processes cannot have limited children, so it is often the one above."""
    group(system, cgroup__controllers="memory")
    if above is not None:
        group(system / "user", cgroup__subtree_control=above, cgroup__procs="")
    group(system / "user/me", cgroup__subtree_control=here, cgroup__procs="")
    found = memory_parent(system, own(tmp_path, "0::/user/me"))
    assert found == (expected and system / expected)


def test_nothing_outside_of_the_hierarchy_is_taken(system, tmp_path):
    """The group above the root is none."""
    group(system.parent, cgroup__subtree_control="memory", cgroup__procs="")
    group(system, cgroup__controllers="memory", cgroup__subtree_control="", cgroup__procs="")
    assert memory_parent(system, own(tmp_path, "0::/")) is None


def test_in_version_1_each_controller_has_its_own_hierarchy(system, tmp_path):
    """And its own place in it."""
    lines = own(tmp_path, "5:cpu,memory:/a:b", "6:pids:/c", "0::/")
    assert memory_parent(system, lines) is processes_parent(system, lines) is None
    memory = group(system / "memory/a:b", memory__limit_in_bytes="0")
    pids = group(system / "pids/c", cgroup__procs="")
    assert memory_parent(system, lines) == memory
    assert processes_parent(system, lines) == pids


@pytest.mark.parametrize(
    ("version_2", "expected"),
    [
        (True, {"memory.max": "1000", "memory.swap.max": "0", "memory.oom.group": "1"}),
        (False, {"memory.limit_in_bytes": "1000", "memory.memsw.limit_in_bytes": "1000"}),
    ],
)
def test_a_group_limits_memory_and_swap(system, version_2, expected):
    """By the names of its version."""
    if version_2:
        group(system, cgroup__controllers="memory")
    made = make_group(system, "kit", 1000)
    assert made.parent == system
    assert {path.name: path.read_text() for path in made.iterdir()} == expected


def test_a_group_that_is_there_is_not_taken_over(system):
    """It may be another sandbox's."""
    make_group(system, "kit", 1000)
    with pytest.raises(FileExistsError):
        make_group(system, "kit", 1000)
