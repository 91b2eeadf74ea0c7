"""GPU memory for the pinned context."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    look,
    server,
)
from fakes.needs import SEVENTY, gpu_needs


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (gpu_needs(), PASSES),
        # 40 x 0.44 GiB of cache are 17.5, and 14.2 of weights: within the interval.
        (gpu_needs(concurrency=40), WARNS),
        # 100 x 0.44 GiB are more than the card: vLLM lets requests wait, others cannot.
        (gpu_needs(concurrency=100), WARNS),
        (gpu_needs(engine="transformers", concurrency=100), BLOCKS),
        # 14.0 GiB of cache in 32 bit, 14.2 of weights.
        (gpu_needs(flags={"max_model_len": 131072, "kv_cache_dtype": "f32"}), PASSES),
        # 70 GiB of cache for one request of ten times the length.
        (gpu_needs(flags={"max_model_len": 1_310_720}), BLOCKS),
        (gpu_needs(SEVENTY), None),  # its weights do not fit: nothing to say of a context
        (gpu_needs(model=None), None),
    ],
)
def test_context(needs, expected):
    """The pinned context must fit for one request; that all fit at a time is up to the engine."""
    finding = look("FIT_CONTEXT", server(), needs)
    assert (finding and finding.severity) is expected
    if expected in {WARNS, BLOCKS}:
        assert "tokens for sure" in finding.measured
