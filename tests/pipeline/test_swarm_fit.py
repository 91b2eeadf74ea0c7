"""Which nodes of a Swarm a deployment fits, with the numbers."""

from dataclasses import replace

import pytest
from fakes.deployments import workload

from mealkit.clusters.swarm_nodes import Node
from mealkit.errors import MealkitError
from mealkit.pipeline.cluster.swarm_fit import fits, require_nodes

GIB = 2**30
NODE = Node("n1", "one", "ready", "active", True, "amd64", 8 * GIB, 4.0)
WANTED = {"resources": {"memory": "2GiB", "cpu": 1}}


def test_a_node_has_space_for_replicas():
    """The scarcest resource counts, and what tasks have reserved is taken."""
    (empty,) = fits(workload(**WANTED), [NODE])
    assert (empty.replicas, empty.limit) == (4, None)
    (used,) = fits(workload(**WANTED), [replace(NODE, reserved_bytes=3 * GIB, reserved_cpus=1)])
    assert used.replicas == 2


@pytest.mark.parametrize(
    ("node", "more", "code", "measured", "required"),
    [
        ({"availability": "drain"}, {}, "SWARM_UNSCHEDULED", "availability drain", "active"),
        ({"architecture": "arm64"}, {}, "HOST_ARCHITECTURE", "arm64", "amd64"),
        ({"memory_bytes": GIB}, {}, "HOST_MEMORY", "1.0 GiB", "2.0 GiB"),
        ({"reserved_bytes": 7 * GIB}, {}, "NODE_RESOURCES", "1.0 GiB of 8.0 GiB", "2.0 GiB"),
        ({"reserved_cpus": 3.5}, {}, "NODE_RESOURCES", "0.5 of 4 CPUs", "1 CPUs"),
        ({}, {"node_selector": {"zone": "a"}}, "SWARM_UNSCHEDULED", "no label zone", "zone=a"),
    ],
)
def test_what_is_missing_is_said_with_numbers(node, more, code, measured, required):
    """The first resource that is missing for a replica."""
    with pytest.raises(MealkitError) as raised:
        require_nodes(workload(**WANTED, **more), [replace(NODE, **node)], is_upgrade=False)
    (found,) = raised.value.problems
    assert found.code == code
    assert measured in str(found.measured)
    assert required in str(found.required)


def test_gpus_are_counted_by_their_generic_resource():
    """A node that states none has none, as far as Swarm knows."""
    wanted = workload("tiny-chat-vllm", gpu=True)
    big = replace(NODE, memory_bytes=64 * GIB)
    assert [item.limit and item.limit.code for item in fits(wanted, [big])] == ["HW_GPU_COUNT"]
    (found,) = fits(wanted, [replace(big, generic={"NVIDIA-GPU": 2})])
    assert (found.replicas, found.limit) == (2, None)


def test_one_node_is_enough_and_an_upgrade_counts_its_own_replicas_as_free():
    """Swarm replaces replicas one by one, so a full node may still take the new ones."""
    full = replace(NODE, reserved_bytes=8 * GIB)
    require_nodes(workload(**WANTED), [full, NODE], is_upgrade=False)
    require_nodes(workload(**WANTED), [full], is_upgrade=True)
    with pytest.raises(MealkitError):
        require_nodes(workload(**WANTED), [replace(NODE, state="down")], is_upgrade=True)
