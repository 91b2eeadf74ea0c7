"""Shapes from what publishers write into config.json and GGUF headers."""

import pytest

from mealkit.errors import MealkitError
from mealkit.memory.describe import (
    architecture_of_config,
    shape_of_config,
    shape_of_gguf,
)
from mealkit.memory.shape import (
    Experts,
    LatentAttention,
    Quantisation,
    SlidingWindow,
)

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
}
TENSORS = {"model.embed_tokens.weight": ("BF16", 1000), "lm_head.weight": ("BF16", 400)}


def test_a_plain_decoder():
    """Grouped heads, a gate, no copy of the embeddings."""
    found = shape_of_config(LLAMA, TENSORS)
    assert (found.layers, found.kv_heads, found.head_dimension) == (32, 8, 128)
    assert found.bytes_by_dtype == {"BF16": 1400}
    assert found.gated
    assert found.generates
    assert (found.tied_copy_bytes, found.window, found.experts, found.latent) == (
        0,
        None,
        None,
        None,
    )
    assert found.unknown == ()


def test_an_output_matrix_beside_tied_embeddings_is_a_copy():
    """It is in the file, and not in memory."""
    found = shape_of_config({**LLAMA, "tie_word_embeddings": True}, TENSORS)
    assert found.tied_copy_bytes == 400
    assert found.loaded_bytes == 1000


def test_the_language_part_of_a_model_with_eyes():
    """Its numbers stand in text_config."""
    found = shape_of_config({"architectures": ["X"], "text_config": LLAMA}, {})
    assert found.layers == 32


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sliding_window": 4096, "model_type": "mistral"}, SlidingWindow(4096, 32)),
        ({"sliding_window": None}, None),
        ({"sliding_window": 4096, "use_sliding_window": False}, None),
        (
            {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 28},
            SlidingWindow(4096, 4),
        ),
        ({"sliding_window": 4096, "model_type": "gemma2"}, SlidingWindow(4096, 16)),
        ({"sliding_window": 1024, "sliding_window_pattern": 6}, SlidingWindow(1024, 27)),
        (
            {"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 16},
            SlidingWindow(128, 16),
        ),
        ({"sliding_window": 128, "layer_types": ["full_attention"] * 32}, None),
    ],
)
def test_windows(fields, expected):
    """Stated, listed, or known of the family."""
    assert shape_of_config({**LLAMA, **fields}, {}).window == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
            Experts(128, 8, 768, 0),
        ),
        ({"num_local_experts": 8, "num_experts_per_tok": 2}, Experts(8, 2, 14336, 0)),
        (
            {
                "n_routed_experts": 256,
                "num_experts_per_tok": 8,
                "moe_intermediate_size": 2048,
                "n_shared_experts": 1,
            },
            Experts(256, 8, 2048, 2048),
        ),
        (
            {
                "num_experts": 64,
                "num_experts_per_tok": 8,
                "moe_intermediate_size": 2560,
                "shared_expert_intermediate_size": 20480,
            },
            Experts(64, 8, 2560, 20480),
        ),
    ],
)
def test_experts(fields, expected):
    """By the names of Qwen, Mixtral and DeepSeek."""
    assert shape_of_config({**LLAMA, **fields}, {}).experts == expected


def test_latent_attention():
    """DeepSeek-V3's numbers."""
    fields = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128}
    found = shape_of_config({**LLAMA, **fields, "v_head_dim": 128}, {})
    assert found.latent == LatentAttention(512, 64, 320)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"quant_method": "gptq", "bits": 4}, Quantisation("gptq", 4)),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, Quantisation("fp8", 8)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, Quantisation("bitsandbytes", 4)),
        ({"quant_method": "new"}, None),
        ("nonsense", None),
    ],
)
def test_quantisation(stated, expected):
    """Method and bits; what is not understood stays out."""
    found = shape_of_config({**LLAMA, "quantization_config": stated}, {})
    assert found.quantisation == expected


def test_the_first_qwen_counts_gate_and_up_together():
    """22016 there is 11008 elsewhere."""
    found = shape_of_config({**LLAMA, "model_type": "qwen", "intermediate_size": 22016}, {})
    assert found.intermediate_size == 11008


def test_layers_without_attention_keep_nothing():
    """Three of four."""
    types = ["linear_attention"] * 3 + ["full_attention"]
    assert shape_of_config({**LLAMA, "layer_types": types * 8}, {}).cached_layers == 8


def test_an_encoder_does_not_generate():
    """It has no gate either."""
    found = shape_of_config({**LLAMA, "architectures": ["BertModel"], "model_type": "bert"}, {})
    assert not found.generates
    assert not found.gated


def test_one_head_for_all():
    """Falcon's multi_query."""
    fields = {"model_type": "falcon", "multi_query": True, "num_key_value_heads": None}
    assert shape_of_config({**LLAMA, **fields}, {}).kv_heads == 1


@pytest.mark.parametrize("missing", ["num_hidden_layers", "hidden_size", "num_attention_heads"])
def test_what_cannot_be_counted_with_is_refused(missing):
    """And named."""
    config = {name: value for name, value in LLAMA.items() if name != missing}
    with pytest.raises(MealkitError) as caught:
        shape_of_config(config, {})
    assert caught.value.problems[0].code == "ESTIMATE_UNKNOWN"


def test_values_of_other_kinds_are_not_taken():
    """Text, fractions, truth and negative numbers are no sizes."""
    odd = {"num_key_value_heads": "8", "head_dim": -1, "num_experts": True, "sliding_window": 0.5}
    found = shape_of_config({**LLAMA, **odd}, {})
    assert (found.kv_heads, found.head_dimension) == (32, 128)
    assert found.experts is None
    assert found.window is None


def test_a_gguf_header():
    """Keys begin with the architecture; numbers that differ by layer count at their greatest."""
    metadata = {
        "general.architecture": "gemma2",
        "gemma2.block_count": 42,
        "gemma2.embedding_length": 3584,
        "gemma2.feed_forward_length": 14336,
        "gemma2.attention.head_count": 16,
        "gemma2.attention.head_count_kv": (4, 8, 4),
        "gemma2.attention.key_length": 256,
        "gemma2.attention.sliding_window": 4096,
        "gemma2.context_length": 8192,
        "gemma2.vocab_size": 256000,
    }
    found = shape_of_gguf(metadata, {"Q4_K": 450, "F32": 50}, 1000)
    assert (found.layers, found.kv_heads, found.head_dimension) == (42, 8, 256)
    assert found.window == SlidingWindow(4096, 21)
    assert found.quantisation == Quantisation("gguf", 4.0)
    assert found.max_positions == 8192


def test_a_gguf_window_of_an_unknown_family_is_not_counted_on():
    """Every layer then keeps everything, and it says so."""
    metadata = {
        "general.architecture": "newest",
        "newest.block_count": 4,
        "newest.embedding_length": 64,
        "newest.attention.head_count": 4,
        "newest.attention.sliding_window": 16,
        "newest.expert_count": 8,
        "newest.expert_used_count": 2,
        "newest.expert_feed_forward_length": 32,
    }
    found = shape_of_gguf(metadata, {"F16": 10}, 5)
    assert found.window is None
    assert found.unknown
    assert found.experts == Experts(8, 2, 32, 0)


@pytest.mark.parametrize("odd", [{"a": 1}, 7, [], [{}], "LlamaForCausalLM"])
def test_architectures_of_other_kinds_are_not_taken(odd):
    """Then the family's name stands for them."""
    assert architecture_of_config({**LLAMA, "architectures": odd}) in ("llama", None)
    assert shape_of_config({**LLAMA, "architectures": odd}, {}).generates
