"""As many GPUs as the kit spreads over."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    gpu,
    look,
    server,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import gpu_needs


@pytest.mark.parametrize(
    ("count", "left", "lost", "number"),
    [(1, 1, None, None), (2, 2, None, PASSES), (2, 1, BLOCKS, BLOCKS), (1, 1, WARNS, None)],
)
def test_count(count, left, lost, number):
    """Too few are certain; one that fell off the bus is named, whether or not it is missed."""
    needs = gpu_needs(flags={"tensor_parallel_size": count})
    gone = [gpu(left, lost=True)] if lost else []
    facts = server(*(gpu(index) for index in range(left)), *gone)
    assert severity("HW_GPU_COUNT", facts, needs) is number
    assert severity("HW_GPU_LOST", facts, needs) is lost


def test_gpus_that_no_driver_describes_are_counted():
    """Their device files are there."""
    facts = made_facts(gpu_devices=("nvidia0", "nvidia1"))
    needs = gpu_needs(flags={"tensor_parallel_size": 4})
    assert look("HW_GPU_COUNT", facts, needs).measured == "2"
