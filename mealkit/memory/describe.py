"""Reads the shape of a model from its config.json or GGUF metadata.

No I/O. For values that are missing, assumes the most expensive one, and lists it in
``Shape.unknown``.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.memory.config_fields import name_of, number_of, numbers_of, part_of, positions_of
from mealkit.memory.recurrent import cached_layers, recurrent_state
from mealkit.memory.shape import (
    Experts,
    LatentAttention,
    Quantisation,
    Shape,
    SlidingWindow,
)

# Families without a gate in the feed-forward part, by model_type or architecture.
_UNGATED = (
    "bert",
    "bloom",
    "distilbert",
    "falcon",
    "gpt2",
    "gpt_bigcode",
    "gpt_neox",
    "gptneox",
    "mpnet",
    "mpt",
    "opt",
    "phi",
    "roberta",
    "starcoder",
)
_GENERATING = ("CausalLM", "LMHead", "ConditionalGeneration")
# One of this many layers has full attention, if neither header nor config lists the layers.
_FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4, "gpt-oss": 2, "gpt_oss": 2}
_OUTPUT_NAMES = ("lm_head.weight", "output.weight")
_MOST_BITS = 64


def shape_of_config(config: Mapping[str, Any], tensors: Mapping[str, tuple[str, int]]) -> Shape:
    """Return the shape from a transformers config.json and the headers of the weights.

    ``tensors`` has the dtype and the size in bytes of every tensor, by name.

    Raises:
        PreflightError: not even the number of layers is known (``ESTIMATE_UNKNOWN``).
    """
    text = {**config, **part_of(config, "text_config")}
    kind = str(text.get("model_type", ""))
    hidden = number_of(text, "hidden_size", "n_embd", "d_model", "dim")
    heads = number_of(text, "num_attention_heads", "n_head", "n_heads", "num_heads")
    layers = number_of(text, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    wide = number_of(text, "intermediate_size", "n_inner", "ffn_dim", "d_ff", "hidden_dim")
    if kind == "qwen":  # its intermediate size is that of gate and up together
        wide //= 2
    kv_heads = number_of(text, "num_key_value_heads", "num_kv_heads", "n_head_kv")
    if text.get("multi_query") is True and not text.get("new_decoder_architecture"):
        kv_heads = 1
    return Shape(
        bytes_by_dtype=_totals(tensors),
        layers=layers,
        hidden_size=hidden,
        intermediate_size=wide or 4 * hidden,
        heads=heads,
        kv_heads=kv_heads or heads,
        head_dimension=number_of(text, "head_dim", "d_kv", "kv_channels")
        or (hidden // heads if heads else 0),
        vocabulary=number_of(text, "vocab_size"),
        max_positions=positions_of_config(config),
        cached_layers=cached_layers(text, layers),
        tied_copy_bytes=_tied_copy(text, tensors),
        gated=_is_gated(kind),
        generates=_generates(architecture_of_config(config)),
        latent=_latent(text),
        window=_window(text, layers),
        recurrent=recurrent_state(text, layers),
        experts=_experts(text, wide),
        quantisation=_quantisation(config),
        unknown=() if wide else ("intermediate size: 4 x hidden size",),
    )


def shape_of_gguf(
    metadata: Mapping[str, Any], bytes_by_dtype: Mapping[str, int], parameters: int
) -> Shape:
    """Return the shape from a GGUF header.

    Source: docs/gguf.md of the ggml project. Of numbers that differ by layer, the largest counts.

    Raises:
        PreflightError: not even the number of layers is known (``ESTIMATE_UNKNOWN``).
    """
    name = str(metadata.get("general.architecture", ""))
    prefix = f"{name}."
    own = {
        key.removeprefix(prefix): max(numbers_of(value), default=value)
        for key, value in metadata.items()
        if key.startswith(prefix)
    }
    layers = number_of(own, "block_count")
    hidden, heads = number_of(own, "embedding_length"), number_of(own, "attention.head_count")
    tokens = metadata.get("tokenizer.ggml.tokens")
    window = number_of(own, "attention.sliding_window")
    full_every = _FULL_EVERY.get(name)
    unknown = []
    if window and not full_every:
        unknown.append(f"which layers have a window of {window} tokens: none")
    size = sum(bytes_by_dtype.values())
    return Shape(
        bytes_by_dtype=bytes_by_dtype,
        layers=layers,
        hidden_size=hidden,
        intermediate_size=number_of(own, "feed_forward_length") or 4 * hidden,
        heads=heads,
        kv_heads=number_of(own, "attention.head_count_kv") or heads,
        head_dimension=number_of(own, "attention.key_length") or (hidden // heads if heads else 0),
        vocabulary=number_of(own, "vocab_size") or int(getattr(tokens, "length", 0)),
        max_positions=positions_of_gguf(metadata),
        gated=_is_gated(name),
        generates="bert" not in name,
        window=SlidingWindow(window, layers - layers // full_every)
        if window and full_every
        else None,
        experts=_gguf_experts(own),
        quantisation=Quantisation("gguf", 8 * size / parameters) if parameters else None,
        unknown=tuple(unknown),
    )


def architecture_of_config(config: Mapping[str, Any]) -> str | None:
    """Return the architecture's name in a config.json, or else the family's name."""
    stated = config.get("architectures")
    first = stated[0] if isinstance(stated, list) and stated else None
    return name_of(first or config.get("model_type"))


def positions_of_config(config: Mapping[str, Any]) -> int | None:
    """Return the longest input of the model of a config.json, in tokens."""
    return positions_of(config) or None


def positions_of_gguf(metadata: Mapping[str, Any]) -> int | None:
    """Return the longest input that a GGUF header states, in tokens."""
    return number_of(metadata, f"{metadata.get('general.architecture')}.context_length") or None


def _totals(tensors: Mapping[str, tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for dtype, size_bytes in tensors.values():
        totals[dtype] = totals.get(dtype, 0) + size_bytes
    return totals


def _tied_copy(config: Mapping[str, Any], tensors: Mapping[str, tuple[str, int]]) -> int:
    if config.get("tie_word_embeddings") is not True:
        return 0
    return sum(tensors[name][1] for name in _OUTPUT_NAMES if name in tensors)


def _is_gated(name: str) -> bool:
    plain = name.lower()
    if plain.startswith(("phi3", "phi4", "phimoe")):
        return True
    return not plain.startswith(_UNGATED) and "bert" not in plain


def _generates(architecture: str | None) -> bool:
    """Return whether a model generates text; assumed if unknown, because it needs more memory."""
    if not architecture:
        return True
    ends = ("Model", "Classification", "MaskedLM", "Answering")
    return any(word in architecture for word in _GENERATING) or not architecture.endswith(ends)


def _latent(config: Mapping[str, Any]) -> LatentAttention | None:
    rank, rope = number_of(config, "kv_lora_rank"), number_of(config, "qk_rope_head_dim")
    if not rank:
        return None
    keys = number_of(config, "qk_nope_head_dim") + rope
    return LatentAttention(rank, rope, keys + number_of(config, "v_head_dim"))


def _window(config: Mapping[str, Any], layers: int) -> SlidingWindow | None:
    tokens = number_of(config, "sliding_window")
    if not tokens or config.get("use_sliding_window") is False:
        return None
    if isinstance(config.get("layer_types"), list):
        sliding = min(layers, _layer_types(config).count("sliding_attention"))
    elif config.get("use_sliding_window") is True:
        sliding = max(0, layers - number_of(config, "max_window_layers"))
    else:
        every = number_of(config, "sliding_window_pattern") or _FULL_EVERY.get(
            str(config.get("model_type")), 0
        )
        sliding = layers - layers // every if every else layers
    return SlidingWindow(tokens, sliding) if sliding else None


def _layer_types(config: Mapping[str, Any]) -> list[Any]:
    stated = config.get("layer_types")
    return stated if isinstance(stated, list) else []


def _experts(config: Mapping[str, Any], dense_width: int) -> Experts | None:
    count = number_of(config, "num_experts", "num_local_experts", "n_routed_experts")
    if count <= 1:
        return None
    width = number_of(config, "moe_intermediate_size") or dense_width
    shared = number_of(config, "shared_expert_intermediate_size")
    shared = shared or number_of(config, "n_shared_experts") * width
    active = number_of(config, "num_experts_per_tok", "num_experts_per_token") or 1
    return Experts(count, active, width, shared)


def _gguf_experts(own: Mapping[str, Any]) -> Experts | None:
    count = number_of(own, "expert_count")
    if count <= 1:
        return None
    width = number_of(own, "expert_feed_forward_length") or number_of(own, "feed_forward_length")
    shared = number_of(own, "expert_shared_feed_forward_length")
    return Experts(count, number_of(own, "expert_used_count") or 1, width, shared)


def _quantisation(config: Mapping[str, Any]) -> Quantisation | None:
    stated = part_of(config, "quantization_config")
    method = name_of(stated.get("quant_method"))
    if method is None:
        return None
    bits = number_of(stated, "bits") or (8 if "fp8" in method else 0)
    if stated.get("load_in_4bit") is True:
        bits = 4
    return Quantisation(method, bits) if 0 < bits <= _MOST_BITS else None
