"""Reads which layers of a hybrid model keep a state instead of a cache, and the state's size.

No I/O. The sizes are those of vllm/model_executor/layers/mamba/mamba_utils.py
(MambaStateShapeCalculator), with the convolution's state in 16 bits and the rest in 32.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.memory.config_fields import number_of, numbers_of
from mealkit.memory.shape import RecurrentState

_STATEFUL = ("linear_attention", "mamba", "mamba2", "conv", "recurrent")
_CONVOLUTION_BYTES = 2
_STATE_BYTES = 4


def cached_layers(config: Mapping[str, Any], layers: int) -> int:
    """Return the number of layers with a cache of keys and values."""
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str) and pattern:  # Nemotron-H: M mamba, * attention, - feed-forward
        return min(layers, pattern.count("*"))
    if stated := numbers_of(config.get("attn_layer_indices")):
        return min(layers, len(stated))
    if kinds := _kinds(config):
        return layers - min(layers, sum(kind in _STATEFUL for kind in kinds))
    if interval := number_of(config, "full_attention_interval"):
        return layers // interval
    if period := number_of(config, "attn_layer_period"):
        offset = number_of(config, "attn_layer_offset")
        return len(range(offset, layers, period))
    return layers


def recurrent_state(config: Mapping[str, Any], layers: int) -> RecurrentState | None:
    """Return the layers with a state, and its size for one request; None without such layers."""
    cached = cached_layers(config, layers)
    pattern = config.get("hybrid_override_pattern")
    stateful = pattern.count("M") if isinstance(pattern, str) else layers - cached
    if config.get("model_type") == "falcon_h1":  # each layer has both
        stateful = layers
    size = _linear_attention_bytes(config) or _mamba2_bytes(config) or _mamba_bytes(config)
    return RecurrentState(min(stateful, layers), size) if stateful > 0 and size else None


def _kinds(config: Mapping[str, Any]) -> list[Any]:
    stated = config.get("layer_types") or config.get("layers_block_type")
    return stated if isinstance(stated, list) else []


def _linear_attention_bytes(config: Mapping[str, Any]) -> int:
    """Return the size of a gated delta network's state, as in Qwen3-Next."""
    heads, keys = (number_of(config, f"linear_num_{part}_heads") for part in ("value", "key"))
    key, value = (number_of(config, f"linear_{part}_head_dim") for part in ("key", "value"))
    wide = 2 * keys * key + heads * value
    return _bytes(heads * key * value, wide, number_of(config, "linear_conv_kernel_dim"))


def _mamba2_bytes(config: Mapping[str, Any]) -> int:
    heads = number_of(config, "mamba_n_heads", "mamba_num_heads")
    inner = heads * number_of(config, "mamba_d_head", "mamba_head_dim")
    state = number_of(config, "mamba_d_state", "ssm_state_size", "state_size")
    groups = number_of(config, "mamba_n_groups", "n_groups") or 1
    kernel = number_of(config, "mamba_d_conv", "conv_kernel") or 4
    return _bytes(inner * state, inner + 2 * groups * state, kernel)


def _mamba_bytes(config: Mapping[str, Any]) -> int:
    inner = number_of(config, "mamba_expand") * number_of(config, "hidden_size")
    return _bytes(
        inner * number_of(config, "mamba_d_state"), inner, number_of(config, "mamba_d_conv")
    )


def _bytes(numbers: int, wide: int, kernel: int) -> int:
    """Return the bytes of a state with a convolution over the last tokens; 0 without a state."""
    if not numbers:
        return 0
    return numbers * _STATE_BYTES + max(0, kernel - 1) * wide * _CONVOLUTION_BYTES
