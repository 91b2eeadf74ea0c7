"""The cache's bytes are exact, and every case is countable by hand."""

import pytest

from mealkit.memory.kv_cache import cache_bytes
from mealkit.memory.shape import LatentAttention, SlidingWindow

GIB = 2**30


def test_grouped_heads_are_counted_by_their_own_dimension(shape, setting):
    """8192 tokens x 32 layers x 2 x 8 heads x 128 x 2 bytes is one GiB."""
    assert cache_bytes(shape(), setting()) == GIB


def test_a_head_may_be_wider_than_its_share_of_the_hidden_state(shape, setting):
    """Qwen3-4B: 36 layers, 8 heads of 128 although 2560 / 32 is 80; 4.5 GiB at 32768."""
    model = shape(layers=36, hidden_size=2560, head_dimension=128)
    assert cache_bytes(model, setting(context_tokens=32768)) == 4.5 * GIB


def test_requests_have_a_cache_each(shape, setting):
    """Three requests, three times the bytes."""
    assert cache_bytes(shape(), setting(concurrency=3)) == 3 * GIB


@pytest.mark.parametrize(
    ("dtype", "share"), [("f32", 2), ("fp8", 0.5), ("q8_0", 34 / 64), ("q4_0", 18 / 64)]
)
def test_the_cache_s_type_decides_its_size(dtype, share, shape, setting):
    """Of ggml's types each block of 32 numbers has a scale."""
    assert cache_bytes(shape(), setting(kv_dtype=dtype)) == share * GIB


def test_layers_with_a_window_keep_the_window(shape, setting):
    """Of 32 layers 16 keep 1024 of 8192 tokens: 16/32 + 16/32/8."""
    model = shape(window=SlidingWindow(1024, 16))
    assert cache_bytes(model, setting()) == (0.5 + 0.0625) * GIB
    assert cache_bytes(model, setting(context_tokens=512)) == GIB / 16


def test_a_latent_vector_is_what_some_engines_cache(shape, setting):
    """DeepSeek-V3: 61 layers x (512 + 64); transformers expands it to 128 heads x (192 + 128)."""
    model = shape(layers=61, heads=128, kv_heads=128, latent=LatentAttention(512, 64, 320))
    one = setting(engine="vllm", context_tokens=1)
    assert cache_bytes(model, one) == 61 * 576 * 2
    assert cache_bytes(model, setting(context_tokens=1)) == 61 * 128 * 320 * 2


def test_a_latent_vector_is_on_every_gpu_and_heads_are_shared_out(shape, setting):
    """Eight heads over four GPUs are two each; over sixteen, one each, for there is no half."""
    for gpus, heads in ((4, 2), (16, 1)):
        found = cache_bytes(shape(), setting(engine="vllm", tensor_parallel=gpus))
        assert found == GIB * heads // 8
    latent = shape(latent=LatentAttention(512, 64, 320))
    alone = cache_bytes(latent, setting(engine="vllm"))
    assert cache_bytes(latent, setting(engine="vllm", tensor_parallel=4)) == alone


def test_blocks_round_up(shape, setting):
    """17 tokens take two blocks of 16."""
    found = cache_bytes(shape(), setting(context_tokens=17), block_tokens=16)
    assert found == cache_bytes(shape(), setting(context_tokens=32))


def test_layers_without_a_cache_do_not_count(shape, setting):
    """Of 32 layers 8 have attention."""
    assert cache_bytes(shape(cached_layers=8), setting()) == GIB // 4


def test_an_encoder_has_no_cache(shape, setting):
    """It reads everything at once."""
    assert cache_bytes(shape(generates=False), setting()) == 0
