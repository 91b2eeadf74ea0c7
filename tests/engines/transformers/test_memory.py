"""The terms of PyTorch with transformers, against arithmetic that stands beside them."""

from fakes.engines import estimate, phase, term

from mealkit.engines.transformers.memory import habits_of
from mealkit.memory.setting import Compared, Habits, Scope
from mealkit.memory.shape import Experts, Quantisation

MIB, GIB = 2**20, 2**30


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
    """A tied output matrix in the file is in memory while loading, and freed afterwards."""
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


def test_exllama_keeps_one_matrix_in_16_bit(shape, setting):
    """Four-bit GPTQ only."""

    def workspace(bits):
        model = shape(quantisation=Quantisation("gptq", bits))
        return term(estimate(model, setting()), "workspace").likely_bytes

    assert workspace(4) - workspace(8) == 4096 * 14336 * 2
