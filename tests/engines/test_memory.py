"""Every engine's estimate is intervals with formulas, and grows with what is asked of it."""

import pytest
from fakes.engines import estimate

from mealkit.memory.setting import Compared
from mealkit.memory.shape import Experts

GIB = 2**30


def every_setting(setting):
    return [
        setting(engine=engine, compared=compared, concurrency=requests, tensor_parallel=gpus)
        for engine in ("transformers", "vllm", "llama-cpp", "onnx")
        for compared in Compared
        for requests in (1, 16)
        for gpus in (1, 4)
    ]


def test_every_term_is_an_interval_with_a_formula_and_a_source(shape, setting):
    """Least, likely, most, in this order; the totals are their sums."""
    models = [shape(), shape(experts=Experts(64, 8, 2560, 20480)), shape(generates=False)]
    for model in models:
        for one in every_setting(setting):
            found = estimate(model, one)
            for moment in found.phases:
                for item in moment.terms:
                    assert 0 <= item.low_bytes <= item.likely_bytes <= item.high_bytes, item
                    assert item.formula
                    assert item.source
            assert found.low_bytes <= found.likely_bytes <= found.high_bytes
            assert sum(item.likely_bytes for item in found.terms) == found.likely_bytes


@pytest.mark.parametrize("engine", ["transformers", "vllm", "llama-cpp", "onnx"])
def test_more_of_anything_takes_more(engine, shape, setting):
    """Context, requests and weights."""
    base = estimate(shape(), setting(engine=engine))
    longer = estimate(shape(), setting(engine=engine, context_tokens=16384))
    busier = estimate(shape(), setting(engine=engine, concurrency=2))
    heavier = estimate(shape(bytes_by_dtype={"BF16": 20 * GIB}), setting(engine=engine))
    for found in (longer, busier, heavier):
        assert found.likely_bytes > base.likely_bytes
        assert found.high_bytes > base.high_bytes
