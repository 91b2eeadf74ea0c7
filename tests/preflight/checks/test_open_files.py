"""Limits of the process."""

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
from fakes.needs import gpu_needs

from mealkit.preflight.container_client import Client
from mealkit.preflight.ulimits import Ulimits


def docker(**changes):
    values = {"name": "docker", "problem": None, "data_root": Path("/var/lib/docker")}
    return Client(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "context", "expected"),
    [
        ({}, INSIDE, PASSES),
        ({"open_files": 256}, INSIDE, WARNS),
        ({"stack_bytes": MIB}, INSIDE, WARNS),
        ({"memlock_bytes": 65536}, INSIDE, WARNS),
        ({"memlock_bytes": None, "stack_bytes": None, "open_files": None}, INSIDE, PASSES),
        ({"open_files": 256}, {"client": "sandbox"}, WARNS),
        ({"open_files": 256}, {"client": "docker"}, None),
    ],
)
def test_ulimits(changes, context, expected):
    """Low limits fail late; a container's are its own."""
    values = {"memlock_bytes": 8 * MIB, "open_files": 1024, "stack_bytes": 8 * MIB} | changes
    facts = server(gpu(0), gpu(1), ulimits=Ulimits(**values))
    needs = gpu_needs(flags={"tensor_parallel_size": 2})
    assert severity("HOST_ULIMIT", facts, needs, context) is expected
