"""Estimates llama.cpp's memory with all layers on the GPU: it allocates all buffers at the start.

Source: llama.cpp, src/llama-context.cpp (graph_reserve) and src/llama-kv-cache.cpp.
"""

from mealkit.memory.device import context_term, is_device
from mealkit.memory.kv_cache import LATENT_SOURCE, SOURCE, cache_bytes, cache_formula
from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import MIB, Estimate, Phase, Term, between

# Cells of the cache are padded to this many tokens.
_CELLS = 256
# The graph computes in 32 bits.
_FLOAT = 4
# Copies of a graph's inputs if several GPUs work in a pipeline (GGML_SCHED_MAX_COPIES).
_COPIES = 4


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Estimate the GPU with the most memory among those that the layers are divided among."""
    terms = [_weights(shape, setting), _cache(shape, setting), _compute(shape, setting)]
    if is_device(setting):
        terms.append(context_term(setting))
    return Estimate((Phase("serving", tuple(terms)),))


def cells(setting: Setting) -> int:
    """Return the cells of the cache: all requests share one cache, each with its whole context."""
    return -(-setting.context_tokens * setting.concurrency // _CELLS) * _CELLS


def _weights(shape: Shape, setting: Setting) -> Term:
    whole = shape.file_bytes
    # The table of embeddings stays in main memory; the totals do not show its type.
    embeddings = shape.vocabulary * shape.hidden_size * shape.weight_bits / 8
    share, uneven = whole / setting.devices, 0.08 * whole if setting.devices > 1 else 0
    return between(
        "weights",
        ((whole - embeddings) / setting.devices, share, share + uneven),
        f"{whole} bytes in the header / {setting.devices}",
        "the GGUF header; src/llama-model.cpp (load_tensors)",
    )


def _cache(shape: Shape, setting: Setting) -> Term:
    size = cache_bytes(shape, setting, spare_tokens=setting.micro_batch, block_tokens=_CELLS)
    share = size / setting.devices
    uneven = size / max(1, shape.layers) if setting.devices > 1 else 0
    return between(
        "kv cache",
        (share, share, share + uneven),
        cache_formula(shape, setting) + f", padded to {_CELLS} tokens",
        LATENT_SOURCE if shape.latent else f"{SOURCE}; gguf-parser-go file_estimate__llamacpp.go",
    )


def _compute(shape: Shape, setting: Setting) -> Term:
    tokens, all_cells = setting.micro_batch, cells(setting)
    hidden = 4 * tokens * shape.hidden_size * _FLOAT
    mask = tokens * all_cells * (2 if setting.flash_attention else _FLOAT)
    scores = 0 if setting.flash_attention else shape.heads * all_cells * tokens * _FLOAT
    wide = 3 * tokens * _width(shape) * _FLOAT
    logits = tokens * shape.vocabulary * _FLOAT
    copies = (_COPIES - 1) * (mask + hidden / 4) if setting.devices > 1 else 0
    likely = max(scores, wide, logits) + hidden + mask + copies
    least = max(scores, wide, setting.concurrency * shape.vocabulary * _FLOAT) + mask
    return between(
        "compute buffer",
        (0.8 * least, likely, 1.2 * likely + 64 * MIB),
        f"{tokens} tokens x the maximum of scores ({scores} bytes in all), 3 x {_width(shape)}"
        f" and {shape.vocabulary} logits, x 4 bytes, + hidden states + mask",
        "src/llama-context.cpp (graph_reserve)",
    )


def _width(shape: Shape) -> int:
    if shape.experts is None:
        return shape.intermediate_size
    return max(
        shape.experts.active * shape.experts.intermediate_size,
        shape.experts.shared_intermediate_size,
    )


MEMORY = EngineMemory(
    name="llama-cpp",
    estimate=estimate,
    splits_layers=True,
    caches_latent=True,
)
