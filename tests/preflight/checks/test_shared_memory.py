"""Shared memory for several GPUs' processes."""

from pathlib import Path

import pytest
from fakes.gpu_servers import (
    INSIDE,
    MIB,
    PASSES,
    WARNS,
    gpu,
    server,
    severity,
)
from fakes.needs import GIB, gpu_needs

from mealkit.preflight.container_client import Client
from mealkit.preflight.disk import SharedMemory


def docker(**changes):
    values = {"name": "docker", "problem": None, "data_root": Path("/var/lib/docker")}
    return Client(**(values | changes))


@pytest.mark.parametrize(
    ("size", "gpus", "context", "expected"),
    [
        (16 * GIB, 2, INSIDE, PASSES),
        (64 * MIB, 2, INSIDE, WARNS),
        (None, 2, INSIDE, WARNS),
        (64 * MIB, 1, INSIDE, None),
        (64 * MIB, 2, {"client": "docker"}, None),  # a container gets its own
        (64 * MIB, 2, {"client": "sandbox"}, WARNS),
    ],
)
def test_shared_memory(size, gpus, context, expected):
    """Several GPUs' processes share it: too little often ends in a bus error, not always."""
    facts = server(gpu(0), gpu(1), shm=SharedMemory(total_bytes=size, free_bytes=size))
    needs = gpu_needs(flags={"tensor_parallel_size": gpus})
    assert severity("HOST_SHM", facts, needs, context) is expected
