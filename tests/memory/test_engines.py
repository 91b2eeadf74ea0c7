"""Each engine's terms, against arithmetic that stands beside them and against its own logs."""

import pytest

from mealkit.engines.memory import estimate, usable_bytes
from mealkit.engines.onnx import genai
from mealkit.memory.setting import Compared, Habits, Scope, Setting, habits_of
from mealkit.memory.shape import Experts, Quantisation

MIB, GIB = 2**20, 2**30


def term(found, name):
    return next(item for item in found.terms if item.name == name)


def phase(found, name):
    return next(item for item in found.phases if item.name == name)


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


def test_transformers_holds_three_widths_of_the_prompt(shape, setting):
    """8192 tokens x (3 x 14336 + 4 x 4096) x 2 bytes, beside weights and cache."""
    found = phase(estimate(shape(), setting()), "reading the prompt")
    sizes = {item.name: item.likely_bytes for item in found.terms}
    assert sizes["activations"] == 8192 * (3 * 14336 + 4 * 4096) * 2
    assert sizes["weights"] == 16_060_522_496
    assert GIB <= sizes["kv cache"] <= GIB + 64 * MIB


def test_transformers_once_made_logits_of_the_whole_prompt(shape, setting):
    """Before 4.45: 2 + 4 bytes for each token and entry of the vocabulary."""
    found = estimate(shape(), setting(habits=habits_of((4, 38))))
    assert term(found, "logits").low_bytes == 8192 * 128256 * 6
    assert found.likely_bytes > estimate(shape(), setting()).likely_bytes + 5 * GIB


def test_transformers_once_kept_the_cache_twice(shape, setting):
    """While a token was generated."""
    old = estimate(shape(), setting(prompt_tokens=1, habits=habits_of((4, 38))))
    assert old.peak.name == "generating"
    assert term(old, "kv cache").low_bytes == 2 * GIB
    assert term(old, "rotary tables").likely_bytes == 32 * 2 * 32768 * 128 * 2


def test_loading_is_the_worst_moment_of_a_small_model_with_a_copy(shape, setting):
    """A tied output matrix in the file is there while loading, and gone afterwards."""
    copy = 128256 * 4096 * 2
    found = estimate(shape(tied_copy_bytes=copy), setting(context_tokens=16, prompt_tokens=1))
    assert found.peak.name == "loading"
    assert term(found, "weights").likely_bytes == 16_060_522_496 - copy
    assert term(found, "loading copies").likely_bytes == copy


def test_scores_that_are_written_out_grow_with_the_square(shape, setting):
    """32 heads x 8192^2 x 10 bytes."""
    found = estimate(shape(), setting(habits=Habits(attention_bytes=10)))
    assert term(found, "attention scores").low_bytes == 32 * 8192**2 * 10


def test_layers_are_spread_and_activations_are_on_every_gpu(shape, setting):
    """All GPUs together hold the weights once and the activations twice."""
    alone = estimate(shape(), setting(scope=Scope.ALL_GPUS))
    both = estimate(shape(), setting(scope=Scope.ALL_GPUS, layer_split=2))
    each = estimate(shape(), setting(layer_split=2))
    assert term(both, "weights").low_bytes == term(alone, "weights").low_bytes
    assert term(both, "activations").likely_bytes == 2 * term(alone, "activations").likely_bytes
    assert term(each, "weights").low_bytes == term(alone, "weights").low_bytes // 2


def test_exllama_keeps_one_matrix_in_16_bit(shape, setting):
    """Four-bit GPTQ only."""

    def workspace(bits):
        model = shape(quantisation=Quantisation("gptq", bits))
        return term(estimate(model, setting()), "workspace").likely_bytes

    assert workspace(4) - workspace(8) == 4096 * 14336 * 2


def test_the_device_holds_more_than_tensors(shape, setting):
    """The CUDA context, and memory that stays reserved."""
    found = estimate(shape(), setting(compared=Compared.DEVICE))
    names = {item.name for item in found.terms}
    assert {"cuda context", "reserved, unused"} <= names


def test_experts_that_all_tokens_choose_widen_the_interval(shape, setting):
    """Everything is loaded, whatever is chosen."""
    found = estimate(shape(experts=Experts(128, 8, 1536)), setting())
    item = term(found, "activations")
    assert item.likely_bytes < item.high_bytes
    assert term(found, "weights").likely_bytes == 16_060_522_496


def test_heads_can_be_wider_than_small_experts(shape, setting):
    """Qwen3-30B-A3B: rotating 32 heads of 128 is more than an expert's 768."""
    model = shape(
        hidden_size=2048, kv_heads=4, intermediate_size=6144, experts=Experts(128, 8, 768)
    )
    found = term(estimate(model, setting()), "activations")
    assert found.likely_bytes == 8192 * (4 * 4096 + 2 * 512 + 3 * 2048) * 2


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


def test_onnx_against_what_was_measured(shape, setting):
    """all-MiniLM-L6-v2 took 222 MiB of main memory at most, 178 MiB once loaded."""
    minilm = shape(
        bytes_by_dtype={"F32": 90_852_864, "I64": 4096},
        layers=6,
        hidden_size=384,
        intermediate_size=1536,
        heads=12,
        kv_heads=12,
        head_dimension=32,
        gated=False,
        generates=False,
    )
    one = setting(engine="onnx", context_tokens=256, concurrency=1, compared=Compared.DEVICE)
    found = estimate(minilm, one)
    assert found.low_bytes <= 178 * MIB <= found.high_bytes
    assert found.low_bytes <= 222 * MIB <= found.high_bytes


def test_onnx_text_is_read_piece_by_piece(shape, setting):
    """A long context costs its cache and one piece of the prompt, not the prompt's square."""
    model = shape(layers=28, hidden_size=1536, heads=12, kv_heads=2, head_dimension=128)
    found = estimate(model, setting(engine="onnx", context_tokens=32768, kv_dtype="f32"))
    assert Setting("onnx", 1).micro_batch == genai._READ_TOKENS
    assert term(found, "activations").high_bytes < 4 * 1024 * MIB
    longer = estimate(model, setting(engine="onnx", context_tokens=65536, kv_dtype="f32"))
    more, less = term(longer, "activations").high_bytes, term(found, "activations").high_bytes
    assert less < more < 2 * less


def test_onnx_weights_are_cast(shape, setting):
    """What is stored in half precision is computed in 32 bit on a CPU, and so takes twice as much."""
    half = shape(bytes_by_dtype={"F16": 100 * MIB})
    stored, cast = (
        term(estimate(half, setting(engine="onnx", float_bytes=width)), "weights")
        for width in (None, 4)
    )
    assert cast.low_bytes == 2 * stored.low_bytes == 200 * MIB
