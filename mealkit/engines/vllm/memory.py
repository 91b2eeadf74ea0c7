"""Estimates vLLM's memory: it reserves its fraction of the card; this must fit into the fraction.

What is left of the fraction after weights, one profiling pass and overhead becomes the cache.
Source: vllm/v1/worker/gpu_worker.py (determine_available_memory).
"""

from dataclasses import replace

from mealkit.memory.activations import ACTIVATION_BYTES
from mealkit.memory.device import context_term, is_device
from mealkit.memory.kv_cache import LATENT_SOURCE, SOURCE, cache_bytes, cache_formula
from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import GIB, MIB, Estimate, Phase, Term, between

# The default of --block-size.
_BLOCK_TOKENS = 16
# By default, vLLM casts float weights to 16 bit; --dtype changes that.
_FLOAT_BYTES = 2
# 16-bit and 32-bit logits, sorted values, 64-bit indices, probabilities, running sums.
_SAMPLER_BYTES = 26


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Estimate what one GPU of ``tensor_parallel`` needs within vLLM's fraction."""
    terms = [_weights(shape, setting), _cache(shape, setting), _activations(shape, setting)]
    if setting.cuda_graphs:
        terms.append(
            between(
                "cuda graphs",
                (50 * MIB, 300 * MIB, 1.5 * GIB),
                "captured batch sizes share one pool",
                "vllm/v1/worker/gpu_model_runner.py (capture_model logs what it took)",
            )
        )
    if is_device(setting):
        terms.append(context_term(setting))
    return Estimate((Phase("serving", tuple(terms)),))


def usable_bytes(memory_bytes: int, setting: Setting) -> int:
    """Return the memory of a card that vLLM may use."""
    return int(memory_bytes * setting.utilisation)


def _weights(shape: Shape, setting: Setting) -> Term:
    width = setting.float_bytes or (_FLOAT_BYTES if "F32" in shape.bytes_by_dtype else None)
    loaded = shape.loaded_as(width)
    share = loaded / setting.tensor_parallel
    # Norms, routers and scales are copied to every GPU; matrices that cannot be divided are padded.
    copied = 0.01 * loaded if setting.tensor_parallel > 1 else 0
    return between(
        "weights",
        (share, share, share + copied + 0.01 * share),
        f"{loaded} bytes / {setting.tensor_parallel}",
        "the headers of the weights; vllm/model_executor/layers/linear.py",
    )


def _cache(shape: Shape, setting: Setting) -> Term:
    spare = setting.batched_tokens if shape.window else 0
    blocks = cache_bytes(shape, setting, spare_tokens=spare, block_tokens=_BLOCK_TOKENS)
    one = 2 * _BLOCK_TOKENS * shape.layers * shape.kv_heads * shape.head_dimension
    everything = cache_bytes(_without_window(shape), setting, block_tokens=_BLOCK_TOKENS)
    return between(
        "kv cache",
        (blocks, blocks, max(blocks, everything) + one),
        cache_formula(shape, setting) + f", in blocks of {_BLOCK_TOKENS} tokens",
        f"{LATENT_SOURCE if shape.latent else SOURCE}; vllm/v1/kv_cache_interface.py",
    )


def _activations(shape: Shape, setting: Setting) -> Term:
    tokens = setting.batched_tokens
    tp = setting.tensor_parallel
    width = shape.intermediate_size
    if shape.experts:
        # Every token passes through each of its experts, and all of that is in memory together.
        width = max(
            shape.experts.active * shape.experts.intermediate_size,
            shape.experts.shared_intermediate_size,
        )
    gate = (3 if shape.gated else 2) * width / tp
    layer = ACTIVATION_BYTES * tokens * (gate + 3 * shape.hidden_size)
    rows = setting.concurrency
    sampler = rows * shape.vocabulary * _SAMPLER_BYTES
    sampler += ACTIVATION_BYTES * tokens * 2 * shape.hidden_size
    likely = max(layer, sampler)
    return between(
        "activations",
        (0.7 * likely, likely, 1.5 * likely + 256 * MIB),
        f"the maximum of {tokens} tokens x ({gate:.0f} + 3 x {shape.hidden_size}) x 2 bytes and"
        f" {rows} requests x {shape.vocabulary} x {_SAMPLER_BYTES} bytes",
        "vllm/v1/worker/gpu_model_runner.py (profile_run); layers/activation.py (SiluAndMul)",
    )


def _without_window(shape: Shape) -> Shape:
    """Return the shape for an engine that has disabled its hybrid cache."""
    return replace(shape, window=None)


MEMORY = EngineMemory(
    name="vllm",
    estimate=estimate,
    takes_share=True,
    queues_requests=True,
    caches_latent=True,
    # It has logged up to 1.79 GiB outside of PyTorch on one GPU.
    most_context_bytes=1840 * MIB,
    usable_bytes=usable_bytes,
)
