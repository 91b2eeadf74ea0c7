"""Computes the key and value cache's size: exact, because all engines cache the same numbers."""

from mealkit.memory.setting import KV_BYTES, Setting
from mealkit.memory.shape import Shape

SOURCE = "config.json and Shazeer 2019 (arXiv 1911.02150); KAITO nodesestimator uses the same"
LATENT_SOURCE = "DeepSeek-V2 (arXiv 2405.04434), table 1"


def cached_numbers_per_token(shape: Shape, setting: Setting) -> int:
    """Return how many numbers each token adds to one layer's cache, on one GPU.

    Heads are divided among the GPUs while there are enough of them, then copied; a latent vector is
    copied to every GPU.
    """
    heads = max(1, -(-shape.kv_heads // setting.tensor_parallel))
    if shape.latent is None:
        return 2 * heads * shape.head_dimension
    if setting.engine.caches_latent:
        return shape.latent.kv_lora_rank + shape.latent.rope_dimension
    return heads * shape.latent.expanded_dimension


def cache_bytes(
    shape: Shape, setting: Setting, *, spare_tokens: int = 0, block_tokens: int = 1
) -> int:
    """Return the size of the caches of all requests, on one GPU of ``tensor_parallel``.

    Layers with a sliding window store the window and ``spare_tokens``. The tokens of each request
    are rounded up to ``block_tokens``.
    """
    if not shape.generates:
        return 0
    layers = shape.layers if shape.cached_layers is None else shape.cached_layers
    context = setting.habits.cache_tokens or setting.context_tokens
    tokens = _rounded(context, block_tokens) * layers
    if shape.window:
        kept = min(context, shape.window.tokens + spare_tokens)
        sliding = min(shape.window.layers, layers)
        tokens -= sliding * (_rounded(context, block_tokens) - _rounded(kept, block_tokens))
    numbers = tokens * cached_numbers_per_token(shape, setting)
    return round(setting.concurrency * numbers * KV_BYTES[setting.kv_dtype])


def cache_formula(shape: Shape, setting: Setting) -> str:
    """Return the formula as text, with its numbers."""
    layers = shape.layers if shape.cached_layers is None else shape.cached_layers
    context = setting.habits.cache_tokens or setting.context_tokens
    per_number = KV_BYTES[setting.kv_dtype]
    heads = max(1, -(-shape.kv_heads // setting.tensor_parallel))
    one = f"2 x {heads} kv heads x {shape.head_dimension}"
    if shape.latent:
        one = f"{heads} heads x {shape.latent.expanded_dimension}"
        if setting.engine.caches_latent:
            one = f"({shape.latent.kv_lora_rank} + {shape.latent.rope_dimension})"
    text = (
        f"{setting.concurrency} requests x {context} tokens x {layers} layers x {one}"
        f" x {per_number:g} bytes"
    )
    if shape.window:
        text += f", {shape.window.layers} layers store {shape.window.tokens} tokens"
    return text


def _rounded(tokens: int, block_tokens: int) -> int:
    return -(-tokens // block_tokens) * block_tokens
