"""PyTorch's rounding, by its allocator's own rules."""

import pytest

from mealkit.memory.allocator import (
    loading_rounding_bytes,
    rounding_bytes,
    workspace_bytes,
)
from mealkit.memory.shape import Quantisation

MIB = 2**20


@pytest.mark.parametrize(
    ("sizes", "added"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([1], 511, id="to 512 bytes"),
        pytest.param([MIB], 0, id="small ones share blocks"),
        pytest.param([43 * MIB], MIB, id="a remainder of 1 MiB is not split off"),
        pytest.param([42 * MIB + 512], 0, id="a greater one is"),
        pytest.param([6 * MIB] * 3, 0, id="three in a block of 20 MiB, 2 MiB are left"),
        pytest.param([6 * MIB + MIB // 2] * 3, MIB // 2, id="half a MiB is left and stays"),
        pytest.param([42 * MIB + 512, 2 * MIB - 512], 0, id="a split-off piece is used again"),
    ],
)
def test_rounding(sizes, added):
    """Sizes to 512 bytes, blocks of 20 MiB or of 2 MiB, remainders split off above 1 MiB."""
    assert rounding_bytes(sizes) == added


def test_a_model_whose_matrices_just_miss_a_block_loses_much(shape):
    """Qwen2.5-3B: 2048 x 11008 in 16 bit are 43 MiB; 36 layers lose 3 MiB each."""
    model = shape(layers=36, hidden_size=2048, intermediate_size=11008, heads=16, kv_heads=2)
    assert loading_rounding_bytes(model) == 36 * 3 * MIB


def test_quantised_matrices_are_smaller(shape):
    """The same in 8 bit: 21.5 MiB, half a MiB lost; query and output, 4 MiB each, fill a block."""
    model = shape(
        layers=36,
        hidden_size=2048,
        intermediate_size=11008,
        heads=16,
        kv_heads=2,
        quantisation=Quantisation("gptq", 8),
    )
    assert 36 * 3 * MIB // 2 <= loading_rounding_bytes(model) <= 36 * 2 * MIB


def test_hopper_asks_for_more_workspace():
    """32 MiB instead of 8.125."""
    assert workspace_bytes((9, 0)) == 32 * MIB
    assert workspace_bytes((8, 9)) == 8.125 * MIB
