"""vLLM's terms, against arithmetic that stands beside them."""

import pytest
from fakes.engines import demand_of, estimate, memory_of, term, usable_bytes

from mealkit.memory.setting import Compared
from mealkit.memory.shape import RecurrentState, SlidingWindow

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


def test_on_processors_the_cache_is_reserved_and_nothing_is_for_a_gpu(shape, setting):
    """Weights, the reserved cache, activations and three processes are the whole estimate."""
    on_processors = setting(engine="vllm", cache_space_bytes=4 * GIB, compared=Compared.DEVICE)
    found = estimate(shape(), on_processors)
    assert [item.name for item in found.terms] == [
        "weights",
        "kv cache",
        "activations",
        "processes",
    ]
    reserved = term(found, "kv cache")
    assert reserved.low_bytes == reserved.high_bytes == 4 * GIB
    # 128256 rows of the output matrix are a multiple of 64, and packed once more.
    assert term(found, "weights").likely_bytes == 16_060_522_496 + 128256 * 4096 * 2
    assert usable_bytes(80 * GIB, on_processors) == 80 * GIB


@pytest.mark.parametrize(
    ("changes", "tokens", "blocks"),
    [
        # 33 blocks of 128 tokens, and the one that is never used.
        ({}, 4097, 34),
        # Two groups of 16 layers: 32 blocks of all tokens, 9 of 511 + 512 tokens and their rest.
        ({"window": SlidingWindow(512, 16)}, 4096, 42),
        # 13 of 24 and 11 of 24 are padded to 13 each, not divided into groups of 11.
        ({"layers": 24, "window": SlidingWindow(512, 11)}, 4096, 42),
        # Three groups with a window for each one without.
        ({"window": SlidingWindow(512, 24)}, 4096, 32 + 3 * 9 + 1),
        # Only windows: one group.
        ({"window": SlidingWindow(512, 32)}, 4096, 10),
        # A state of 1 MiB needs blocks of 256 tokens; three groups of 8 layers have one each.
        ({"cached_layers": 8, "recurrent": RecurrentState(24, 2**20)}, 4096, 2 * (16 + 3 + 1)),
    ],
)
def test_blocks_are_counted_in_groups_of_layers(changes, tokens, blocks, shape, setting):
    """A group has as many layers as the rarest kind, and every group takes its own blocks."""
    model = shape(**changes)
    window = model.window.layers if model.window else 0
    cached = model.layers if model.cached_layers is None else model.cached_layers
    group = min(filter(None, (cached - window, window, model.layers - cached)))
    group = 13 if model.layers == 24 else group
    needed_cache = memory_of("vllm").needed_cache
    one = setting(
        engine="vllm", context_tokens=tokens, batched_tokens=512, cache_space_bytes=4 * GIB
    )
    found = needed_cache(model, one)
    # 8 heads of 128 numbers for keys and for values, in 16 bits.
    assert found.low_bytes == found.high_bytes == blocks * group * 128 * 2 * 8 * 128 * 2


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"dtype": "float32", "kv_cache_dtype": "auto"}, ("f32", None)),
        ({"dtype": "bfloat16", "kv_cache_dtype": "fp8_e4m3"}, ("fp8", None)),
        ({"dtype": "float32", "device": "cpu", "kv_cache_gib": 3}, ("f16", 3 * GIB)),
        ({"dtype": "float16", "device": "cuda", "kv_cache_gib": 3}, ("f16", None)),
    ],
)
def test_the_demand_states_the_cache_s_type_and_space(flags, expected, shape):
    """With kv_cache_dtype auto, keys and values are as wide as the computation."""
    model = shape(bytes_by_dtype={"F16": 4000})
    found = demand_of("vllm", {"max_length": 512, **flags}, 1, model)
    assert found is not None
    assert (found.kv_dtype, found.cache_space_bytes) == expected


@pytest.mark.parametrize(("flags", "expected"), [({}, 2048), ({"pooling": "mean"}, 16384)])
def test_an_input_of_embeddings_is_one_batch(flags, expected, shape):
    """However few tokens the kit lets vLLM compute together."""
    stated = {"max_length": 16384, "max_num_batched_tokens": 2048, **flags}
    found = demand_of("vllm", stated, 1, shape())
    assert found is not None
    assert found.batched_tokens == expected
