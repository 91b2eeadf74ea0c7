"""GPU memory for the pinned context."""

import pytest
from fakes.engines import demand_of
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    look,
    server,
)
from fakes.machines import made_facts
from fakes.needs import SEVEN, SEVENTY, cpu_needs, gpu_needs

GIB = 2**30


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


@pytest.mark.parametrize(
    ("space_gib", "requests", "expected", "measured"),
    [
        # 32768 tokens x 28 layers x 2 x 4 heads x 128 x 2 bytes are 1.75 GiB.
        (2, 1, PASSES, "2.0 GiB for the cache"),
        (2, 2, WARNS, "space for 1 requests with the pinned context"),
        # 1 GiB is 146 blocks of 128 tokens, one of which is never used.
        (1, 2, BLOCKS, "space for 18560 tokens for sure"),
    ],
)
def test_a_reserved_cache(space_gib, requests, expected, measured):
    """On processors the pinned context must fit into the cache that the kit reserves."""
    flags = {"max_length": 32768, "dtype": "bfloat16", "device": "cpu", "kv_cache_gib": space_gib}
    needs = cpu_needs(model=SEVEN, demand=demand_of("vllm", flags, requests, SEVEN))
    finding = look("FIT_CONTEXT", made_facts(), needs)
    assert finding is not None
    assert finding.severity is expected
    assert measured in finding.measured
