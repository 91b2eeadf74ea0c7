"""A node's status and labels become facts; what no label says stays unknown."""

from decimal import Decimal

import pytest

from mealkit.clusters.kubernetes_node_facts import Free, free_of, node_facts
from mealkit.clusters.kubernetes_quantity import quantity_of
from mealkit.clusters.kubernetes_views import Node, Pod, read_view
from mealkit.errors import MealkitError
from mealkit.preflight.devices import devices_of

L4 = {
    "nvidia.com/gpu.product": "NVIDIA-L4",
    "nvidia.com/gpu.memory": "23034",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "9",
    "nvidia.com/cuda.driver-version.full": "550.54.15",
    "nvidia.com/cuda.runtime-version.full": "12.4",
}
CPU = {
    "feature.node.kubernetes.io/cpu-cpuid.AVX2": "true",
    "feature.node.kubernetes.io/cpu-cpuid.FMA3": "true",
}


def node(labels: dict | None = None, **allocatable: str) -> Node:
    return Node.model_validate(
        {
            "metadata": {"name": "n", "labels": labels or {}},
            "status": {
                "allocatable": {"memory": "8Gi", "cpu": "4", **allocatable},
                "nodeInfo": {"architecture": "amd64"},
            },
        }
    )


def facts(labels: dict | None = None, **allocatable: str):
    made = node(labels, **allocatable)
    return node_facts(made, free_of(made, ()))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5", "1.5"),
        ("500m", "0.5"),
        ("64Gi", str(2**36)),
        ("1e3", "1000"),
        ("2M", "2000000"),
        (3, "3"),
        ("1E", str(10**18)),
        ("x", None),
        ("9" * 30, None),
        (None, None),
        ("1e999", None),
    ],
)
def test_quantities(text, number):
    """Quantities of every spelling are read; anything else is none."""
    assert quantity_of(text) == (None if number is None else Decimal(number))


def test_gpus_are_read_from_their_labels():
    """Each GPU has its name, memory, compute capability and driver."""
    found = facts(L4, **{"nvidia.com/gpu": "2"})
    first, second = devices_of(found)
    assert (first.title, first.capability, first.total_bytes) == (
        "GPU 0, NVIDIA-L4",
        (8, 9),
        23034 * 2**20,
    )
    assert second.free_bytes == first.free_bytes
    assert (found.nvidia.driver, found.nvidia.cuda) == ("550.54.15", (12, 4))


def test_what_no_label_says_is_unknown():
    """GPUs without labels are counted, and their memory and kind stay unknown."""
    found = facts(**{"nvidia.com/gpu": "2"})
    assert [(item.total_bytes, item.capability) for item in devices_of(found)] == [(None, None)] * 2
    assert "features" in found.cpu.unknown
    assert "features" not in facts(CPU).cpu.unknown
    assert {"avx2", "f16c", "fma"} <= set(facts(CPU).cpu.features)


def test_slices_and_shared_gpus_are_told_apart():
    """MIG slices are devices of their own; a GPU that pods share has no known free memory."""
    parts = facts(
        {**L4, "nvidia.com/mig-1g.10gb.memory": "9728"}, **{"nvidia.com/mig-1g.10gb": "3"}
    )
    assert [(item.is_slice, item.total_bytes) for item in devices_of(parts)] == [
        (True, 9728 * 2**20)
    ] * 3
    single = facts(
        {**L4, "nvidia.com/gpu.product": "NVIDIA-A100-MIG-1g.5gb"}, **{"nvidia.com/gpu": "2"}
    )
    assert all(item.is_slice for item in devices_of(single))
    shared = facts({**L4, "nvidia.com/gpu.replicas": "4"}, **{"nvidia.com/gpu": "4"})
    assert {item.free_bytes for item in devices_of(shared)} == {None}
    amd = facts(**{"amd.com/gpu": "1"})
    assert [item.maker for item in devices_of(amd)] == ["AMD"]


def test_requests_of_pods_are_counted_as_the_scheduler_does():
    """Containers add up, those of the start count at their largest, sidecars and overhead are added."""

    def container(cpu: str, **more: str) -> dict:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "nodeName": "n",
        "containers": [container("500m"), container("250m")],
        "initContainers": [container("2"), container("100m", restartPolicy="Always")],
        "overhead": {"cpu": "50m"},
    }
    free = free_of(node(), [Pod.model_validate({"spec": spec})])
    assert free["cpu"] == Free(Decimal(4), Decimal("1.95"))


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": 5},
        {"metadata": {"labels": {"a": ["b"]}}},
        {"metadata": {"name": "n" * 2000}},
        {"status": {"conditions": [{}] * 300}},
        {"spec": {"taints": "none"}},
    ],
)
def test_a_hostile_node_is_a_problem(item):
    """Values of another type or size are refused with the field's name."""
    with pytest.raises(MealkitError) as error:
        read_view(Node, item)
    assert error.value.problems[0].code == "CLUSTER_ANSWER"


def test_odd_numbers_are_no_crash():
    """Labels and quantities that are no numbers are ignored."""
    odd = dict.fromkeys(L4, "many")
    found = facts(odd, **{"nvidia.com/gpu": "1", "memory": "much"})
    assert found.memory_total_bytes is None
    assert devices_of(found)[0].total_bytes is None
    assert len(devices_of(facts(L4, **{"nvidia.com/gpu": "1000000"}))) == 64
