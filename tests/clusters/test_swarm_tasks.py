"""Tasks and nodes of a Swarm, read from the forms of the engine's API."""

from types import SimpleNamespace

import pytest

from mealkit.clusters.swarm_nodes import nodes_of
from mealkit.clusters.swarm_tasks import task_of

TASK = {
    "ID": "t1",
    "CreatedAt": "2026-01-31T12:00:00.1Z",
    "Slot": 2,
    "NodeID": "n1",
    "DesiredState": "running",
    "Spec": {
        "ContainerSpec": {"Image": "host/kit@sha256:1", "Labels": {"dev.mealkit.revision": "7"}}
    },
    "Status": {"State": "running", "Message": "started", "ContainerStatus": {"ContainerID": "c"}},
}


def test_a_running_task_is_read():
    """Its revision is that of its container's label."""
    task = task_of(TASK)
    assert (task.id, task.slot, task.node, task.revision) == ("t1", 2, "n1", 7)
    assert task.is_running
    assert task.exit_code is None


@pytest.mark.parametrize(
    ("state", "code", "container", "is_failed", "exit_code"),
    [
        ("failed", 137, "c", True, 137),
        ("rejected", 0, "", True, None),
        ("complete", 14, "c", True, 14),
        ("complete", 0, "c", False, 0),
        ("shutdown", 0, "c", False, 0),
        ("starting", 0, "c", False, None),
    ],
)
def test_an_end_counts_as_a_failure_or_not(state, code, container, is_failed, exit_code):
    """The engine writes the exit code 0 also for a container that never ran."""
    ended = {"ContainerID": container, "ExitCode": code}
    task = task_of({**TASK, "Status": {"State": state, "ContainerStatus": ended}})
    assert task.is_failed is is_failed
    assert task.exit_code == exit_code


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"Status": None, "Spec": None},
        {"Status": [], "Spec": "x", "Slot": "many"},
        {"Spec": {"ContainerSpec": {"Labels": {"dev.mealkit.revision": "one"}}}},
        {"Status": {"State": "failed", "Err": "a\x1b[2J\nb" * 1000, "ContainerStatus": 1}},
    ],
)
def test_a_strange_form_is_read_without_a_fault(form):
    """Texts are one short line without control characters, and numbers are numbers."""
    task = task_of(form)
    assert task.revision == 0
    assert len(task.error) <= 500
    assert task.error.isprintable()


def test_nodes_have_what_their_tasks_left():
    """Reservations of tasks that ended do not count; GPUs are numbers or names."""
    gpus = [
        {"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-1"}},
        {"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": "GPU-2"}},
        {"DiscreteResourceSpec": {"Kind": "disk", "Value": 3}},
    ]
    node = {
        "ID": "n1",
        "Spec": {"Availability": "active", "Role": "manager", "Labels": {"zone": "a"}},
        "Status": {"State": "ready"},
        "Description": {
            "Hostname": "one",
            "Platform": {"Architecture": "x86_64"},
            "Resources": {
                "MemoryBytes": 8 * 2**30,
                "NanoCPUs": 4 * 10**9,
                "GenericResources": gpus,
            },
        },
    }

    def task(state: str) -> dict[str, object]:
        unit = {"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 1}}
        reserved = {"MemoryBytes": 2**30, "NanoCPUs": 10**9, "GenericResources": [unit]}
        spec = {"Resources": {"Reservations": reserved}}
        return {"NodeID": "n1", "Status": {"State": state}, "Spec": spec}

    tasks = [task("running"), task("starting"), task("shutdown"), {"NodeID": "n2"}]
    api = SimpleNamespace(tasks=lambda: tasks, nodes=lambda: [node])
    (found,) = nodes_of(SimpleNamespace(api=api))
    assert (found.name, found.architecture, found.takes_tasks) == ("one", "amd64", True)
    assert found.free_bytes == 6 * 2**30
    assert (found.cpus, found.reserved_cpus) == (4, 2)
    assert found.generic == {"NVIDIA-GPU": 2, "disk": 3}
    assert found.reserved_generic == {"NVIDIA-GPU": 2}
