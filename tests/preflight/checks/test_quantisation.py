"""GPUs old enough to lack what the engine or a quantisation needs."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    gpu,
    server,
    severity,
)
from fakes.needs import SEVENTY_4BIT, gpu_needs


@pytest.mark.parametrize(
    ("capability", "needs", "expected"),
    [
        ((7, 0), gpu_needs(), PASSES),
        ((6, 1), gpu_needs(), BLOCKS),
        ((7, 0), gpu_needs(SEVENTY_4BIT), BLOCKS),  # AWQ from 7.5 on
        ((7, 5), gpu_needs(SEVENTY_4BIT), PASSES),
        (None, gpu_needs(), WARNS),
        ((6, 1), gpu_needs(engine="transformers"), None),
    ],
)
def test_capability_of_the_engine(capability, needs, expected):
    """vLLM and its quantisations state the least; of others no limit is known."""
    facts = server(gpu(compute_capability=capability))
    assert severity("HW_COMPUTE_CAPABILITY", facts, needs) is expected
