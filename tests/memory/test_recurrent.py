"""Hybrid models: the layers with a state, and its size, from the config.json of each family."""

import pytest

from mealkit.memory.recurrent import cached_layers, recurrent_state
from mealkit.memory.shape import RecurrentState

# ibm-granite/granite-4.0-h-tiny: 48 heads x 64 x 128 in 32 bits; (3072 + 2 x 128) x 3 in 16.
GRANITE = {
    "layer_types": (["mamba"] * 9 + ["attention"]) * 4,
    "mamba_n_heads": 48,
    "mamba_d_head": 64,
    "mamba_d_state": 128,
    "mamba_n_groups": 1,
    "mamba_d_conv": 4,
}
# Qwen/Qwen3-Next-80B-A3B-Instruct: 32 heads x 128 x 128; (2 x 16 x 128 + 32 x 128) x 3.
QWEN = {
    "full_attention_interval": 4,
    "linear_num_value_heads": 32,
    "linear_num_key_heads": 16,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}
# nvidia/Nemotron-H-8B: 128 heads x 64 x 128; (8192 + 2 x 8 x 128) x 3; 4 of 52 have attention.
NEMOTRON = {
    "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
    "mamba_num_heads": 128,
    "mamba_head_dim": 64,
    "ssm_state_size": 128,
    "n_groups": 8,
    "conv_kernel": 4,
}
# ai21labs/Jamba-v0.1: 2 x 4096 x 16 in 32 bits, 8192 x 3 in 16.
JAMBA = {
    "attn_layer_period": 8,
    "attn_layer_offset": 4,
    "hidden_size": 4096,
    "mamba_expand": 2,
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
}


@pytest.mark.parametrize(
    ("config", "layers", "cached", "state"),
    [
        (GRANITE, 40, 4, RecurrentState(36, 48 * 64 * 128 * 4 + 3328 * 3 * 2)),
        (QWEN, 48, 12, RecurrentState(36, 32 * 128 * 128 * 4 + 8192 * 3 * 2)),
        (NEMOTRON, 52, 4, RecurrentState(24, 128 * 64 * 128 * 4 + 10240 * 3 * 2)),
        (JAMBA, 32, 4, RecurrentState(28, 8192 * 16 * 4 + 8192 * 3 * 2)),
        ({"attn_layer_indices": [9, 18, 27]}, 32, 3, None),  # nothing to compute the state from
        ({"layer_types": ["full_attention"] * 32}, 32, 32, None),
        ({}, 32, 32, None),
        ({**GRANITE, "model_type": "falcon_h1", "layer_types": None}, 24, 24, None),
    ],
)
def test_layers_with_a_state(config, layers, cached, state):
    """The other layers have a cache; feed-forward layers of a pattern have neither."""
    assert cached_layers(config, layers) == cached
    found = recurrent_state(config, layers)
    if config.get("model_type") == "falcon_h1":  # every layer has both
        assert found is not None
        assert found.layers == 24
    else:
        assert found == state


@pytest.mark.parametrize(
    "config",
    [
        {"layer_types": ["mamba"] * 100},
        {"hybrid_override_pattern": "*" * 100},
        {"attn_layer_period": 1, "attn_layer_offset": -1},
        {"full_attention_interval": 2**31},
        {"hybrid_override_pattern": 7, "layer_types": "mamba", "attn_layer_indices": [None]},
    ],
)
def test_odd_values_never_give_more_layers_than_there_are(config):
    """Whatever a config.json states."""
    assert 0 <= cached_layers(config, 32) <= 32
    found = recurrent_state(config, 32)
    assert found is None or found.layers <= 32
