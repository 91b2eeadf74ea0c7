"""GPU memory for weights and engine."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    gpu,
    server,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import GIB, gpu_needs

from mealkit.preflight.nvidia import GpuProcess

HELD = GpuProcess(pid=7, name="python", memory_bytes=30 * GIB, kinds=("compute",))


@pytest.mark.parametrize(
    ("facts", "needs", "expected"),
    [
        (server(), gpu_needs(), PASSES),
        (server(gpu(memory_total_bytes=12 * GIB)), gpu_needs(), BLOCKS),
        (server(gpu(memory_free_bytes=9 * GIB, processes=(HELD,))), gpu_needs(), WARNS),
        (server(gpu(memory_free_bytes=None)), gpu_needs(), WARNS),
        (server(gpu(memory_total_bytes=None, memory_free_bytes=None)), gpu_needs(), WARNS),
        (made_facts(gpu_devices=("nvidia0",)), gpu_needs(), WARNS),
        (server(), gpu_needs(model=None), WARNS),
        (server(), gpu_needs(engine="house-made"), WARNS),
        # Only the first is taken; the largest says what is certain.
        (server(gpu(0, memory_free_bytes=GIB), gpu(1)), gpu_needs(), WARNS),
        (server(gpu(0, memory_total_bytes=12 * GIB), gpu(1)), gpu_needs(), WARNS),
        (made_facts(), gpu_needs(), None),
    ],
)
def test_gpu_memory(facts, needs, expected):
    """Weights that can never fit are certain; what others hold now, or is not known, is not."""
    assert severity("FIT_VRAM", facts, needs) is expected
