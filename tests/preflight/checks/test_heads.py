"""Heads that GPUs can share."""

import pytest
from fakes.gpu_servers import BLOCKS, PASSES, WARNS, gpu, look, server, severity
from fakes.needs import SEVEN, SEVENTY, gpu_needs

from mealkit.recipe.requirements import Demand


@pytest.mark.parametrize(
    ("model", "gpus", "expected"),
    [
        (SEVENTY, 2, PASSES),
        (SEVENTY, 16, PASSES),  # 64 heads; 8 of keys and values go to two GPUs each
        (SEVENTY, 3, BLOCKS),
        (SEVEN, 8, BLOCKS),  # 28 heads
        (SEVEN, 7, BLOCKS),  # 4 heads of keys and values
        (SEVENTY, 1, None),
    ],
)
def test_heads(model, gpus, expected):
    """Heads that do not divide are the kit's fault, on any machine."""
    needs = gpu_needs(model, flags={"tensor_parallel_size": gpus})
    finding = look("FIT_HEADS", server(*(gpu(index) for index in range(gpus))), needs)
    assert (finding and finding.severity) is expected
    assert finding is None or finding.owner == "kit-author"


def test_heads_of_an_unknown_model():
    """Cannot be divided by anyone."""
    demand = Demand(engine="vllm", context_tokens=1, tensor_parallel=2)
    needs = gpu_needs(None, demand=demand)
    assert severity("FIT_HEADS", server(gpu(0), gpu(1)), needs) is WARNS
