"""Main memory: the weights are certain, the rest is an estimate."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import GIB, cpu_needs


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PASSES),
        ({"memory_total_bytes": 7 * GIB}, WARNS),
        ({"memory_limit_bytes": 3 * GIB}, BLOCKS),
        ({"memory_available_bytes": GIB}, WARNS),
        ({"memory_total_bytes": None, "memory_available_bytes": None}, WARNS),
    ],
)
def test_memory(changes, expected):
    """8 GiB are estimated, 4 of them are weights; only less than the weights is certain."""
    assert severity("HOST_MEMORY", made_facts(**changes), cpu_needs()) is expected
