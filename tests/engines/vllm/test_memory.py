"""vLLM's terms, against arithmetic that stands beside them."""

from fakes.engines import estimate, term, usable_bytes

GIB = 2**30


def test_vllm_may_use_its_fraction(shape, setting):
    """And casts 32-bit weights to 16."""
    assert usable_bytes(80 * GIB, setting(engine="vllm", utilisation=0.9)) == 72 * GIB
    assert usable_bytes(80 * GIB, setting()) == 80 * GIB
    wide = shape(bytes_by_dtype={"F32": 4000, "I64": 8})
    found = estimate(wide, setting(engine="vllm"))
    assert term(found, "weights").low_bytes == 2008


def test_vllm_shares_weights_out(shape, setting):
    """Norms are copied: the upper bound is above the share."""
    item = term(estimate(shape(), setting(engine="vllm", tensor_parallel=4)), "weights")
    assert item.likely_bytes == 16_060_522_496 // 4
    assert item.high_bytes > item.likely_bytes
