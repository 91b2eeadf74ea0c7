"""llama.cpp's terms, against its own logs."""

import pytest
from fakes.engines import estimate, term

MIB = 2**20


def test_llama_cpp_against_its_own_log(shape, setting):
    """Command-R 35B on two GPUs, context 4096: KV 5120 MiB in all, 672 MiB of compute buffer.

    Source: the log in https://github.com/ggml-org/llama.cpp/pull/6122.
    """
    model = shape(
        layers=40,
        hidden_size=8192,
        intermediate_size=22528,
        heads=64,
        kv_heads=64,
        vocabulary=256000,
    )
    one = setting(engine="llama-cpp", context_tokens=4096, layer_split=2, flash_attention=False)
    found = estimate(model, one)
    assert 2 * term(found, "kv cache").likely_bytes == 5120 * MIB
    compute = term(found, "compute buffer")
    assert compute.low_bytes <= 672 * MIB <= compute.high_bytes
    assert compute.likely_bytes == pytest.approx(672 * MIB, rel=0.03)


def test_llama_cpp_against_the_tiny_model(shape, setting):
    """1.56 MiB of cache at 512 tokens, as llama.cpp logs it."""
    tiny = shape(
        layers=5, hidden_size=160, intermediate_size=432, heads=5, kv_heads=5, head_dimension=32
    )
    found = estimate(tiny, setting(engine="llama-cpp", context_tokens=512))
    assert term(found, "kv cache").likely_bytes == pytest.approx(1.5625 * MIB)
