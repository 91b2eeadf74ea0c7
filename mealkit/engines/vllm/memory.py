"""Estimates vLLM's memory on a GPU, where it reserves a fraction, and on processors.

On a GPU, what is left of the fraction after weights, one profiling pass and overhead becomes the
cache. Source: vllm/v1/worker/gpu_worker.py (determine_available_memory). On processors, the kit
sets the size of the cache, and everything is in main memory: vllm/v1/worker/cpu_worker.py.
"""

from mealkit.engines.vllm.cache_blocks import SOURCE as BLOCKS_SOURCE
from mealkit.engines.vllm.cache_blocks import Blocks, cache_bytes
from mealkit.memory.activations import ACTIVATION_BYTES
from mealkit.memory.device import context_term, is_device
from mealkit.memory.kv_cache import LATENT_SOURCE, SOURCE, cache_formula
from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import GIB, MIB, Estimate, Phase, Term, between, exact

# The default of --block-size on GPUs; kernels for latent attention need up to 128.
_GPU_BLOCK_TOKENS = 16
_MOST_BLOCK_TOKENS = 128
# On processors: vllm/platforms/cpu.py (check_and_update_config). The smaller one is for latent
# attention on processors without AMX.
_CPU_BLOCK_TOKENS = 128
_CPU_LATENT_BLOCK_TOKENS = 16
# The vocabulary is padded: vllm/model_executor/layers/vocab_parallel_embedding.py
_VOCABULARY_STEP = 64
# Measured on a processor: 26 and 13 % more than the weights and the packed output matrix.
_REPACKED = 0.35
# The processes of one server: least, likely, most; and what compiling the model adds.
_PROCESSES = (1.2 * GIB, 1.5 * GIB, 2.0 * GIB)
_COMPILER = (0.3 * GIB, 1.5 * GIB)
# By default, vLLM casts float weights to 16 bit; --dtype changes that.
_FLOAT_BYTES = 2
# 16-bit and 32-bit logits, sorted values, 64-bit indices, probabilities, running sums.
_SAMPLER_BYTES = 26


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Estimate what one GPU of ``tensor_parallel`` needs within vLLM's fraction, or a processor."""
    if setting.cache_space_bytes is not None:
        return _on_processors(shape, setting, setting.cache_space_bytes)
    terms = [_weights(shape, setting), needed_cache(shape, setting), _activations(shape, setting)]
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


def _on_processors(shape: Shape, setting: Setting, space_bytes: int) -> Estimate:
    terms = [
        _weights(shape, setting),
        exact(
            "kv cache",
            space_bytes,
            "reserved as a whole, whatever the requests need",
            "vllm/v1/worker/cpu_worker.py (VLLM_CPU_KVCACHE_SPACE)",
        ),
        _activations(shape, setting),
    ]
    if is_device(setting):
        low, likely, high = _PROCESSES
        if setting.cuda_graphs:
            likely, high = likely + _COMPILER[0], high + _COMPILER[1]
        terms.append(
            between(
                "processes",
                (low, likely, high),
                "server, scheduler and worker, each with torch" + _and_compiler(setting),
                "measured: 1.2 GiB of their own and 0.3 GiB of shared libraries, with 0.32",
            )
        )
    return Estimate((Phase("serving", tuple(terms)),))


def _and_compiler(setting: Setting) -> str:
    return ", and the compiler of the model" if setting.cuda_graphs else ""


def usable_bytes(memory_bytes: int, setting: Setting) -> int:
    """Return the memory of a card that vLLM may use; on processors, all of the machine's."""
    if setting.cache_space_bytes is not None:
        return memory_bytes
    return int(memory_bytes * setting.utilisation)


def _weights(shape: Shape, setting: Setting) -> Term:
    width = setting.float_bytes or (_FLOAT_BYTES if "F32" in shape.bytes_by_dtype else None)
    loaded = shape.loaded_as(width)
    share = loaded / setting.tensor_parallel
    # Norms, routers and scales are copied to every GPU; matrices that cannot be divided are padded.
    copied = 0.01 * loaded if setting.tensor_parallel > 1 else 0
    number = width or ACTIVATION_BYTES
    padded = -(-shape.vocabulary // _VOCABULARY_STEP) * _VOCABULARY_STEP
    padding = 2 * (padded - shape.vocabulary) * shape.hidden_size * number
    # Sines and cosines of all positions, in 32 bits, or in 16 for two kinds of layers.
    rotated = shape.latent.rope_dimension if shape.latent else shape.head_dimension
    tables = (shape.max_positions or 0) * rotated * 4
    packed, repacked = 0, 0.01 * share
    if setting.cache_space_bytes is not None:
        # The output matrix is packed for the processor's kernels, and also kept; the others are
        # replaced, and not all memory of the originals is returned.
        packed, repacked = padded * shape.hidden_size * number, _REPACKED * share
    return between(
        "weights",
        (share, share + packed, share + packed + copied + repacked + padding + tables),
        f"{loaded} bytes / {setting.tensor_parallel}"
        + (f", and {packed} bytes of the output matrix again" if packed else ""),
        "the headers of the weights; vllm/model_executor/layers/linear.py"
        + (", layers/utils.py (dispatch_cpu_unquantized_gemm)" if packed else ""),
    )


def needed_cache(shape: Shape, setting: Setting) -> Term:
    """Return the term of the cache for all requests, in the blocks of the device."""
    blocks = _blocks(shape, setting)
    low, likely, high = (cache_bytes(shape, setting, each) for each in blocks)
    text = f"{cache_formula(shape, setting)}, in blocks of {blocks[1].tokens} tokens"
    if shape.recurrent:
        text += (
            f", {shape.recurrent.layers} layers keep {shape.recurrent.state_bytes} bytes instead"
        )
    source = f"{LATENT_SOURCE if shape.latent else SOURCE}; {BLOCKS_SOURCE}"
    return between("kv cache", (low, likely, high), text, source)


def _blocks(shape: Shape, setting: Setting) -> tuple[Blocks, Blocks, Blocks]:
    """Return the blocks for the least, the likely and the most memory."""
    if setting.cache_space_bytes is None:
        # The next batch is scheduled while one is computed, except with some rare flags.
        tokens = _GPU_BLOCK_TOKENS
        return Blocks(tokens, 1), Blocks(tokens, 2), Blocks(_MOST_BLOCK_TOKENS, 2)
    most = Blocks(_CPU_BLOCK_TOKENS, 1)
    least = Blocks(_CPU_LATENT_BLOCK_TOKENS, 1) if shape.latent else most
    return least, least, most


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
    number = setting.float_bytes or ACTIVATION_BYTES
    layer = number * tokens * (gate + 3 * shape.hidden_size)
    rows = setting.concurrency
    sampler = rows * shape.vocabulary * _SAMPLER_BYTES
    sampler += number * tokens * 2 * shape.hidden_size
    likely = max(layer, sampler)
    return between(
        "activations",
        (0.7 * likely, likely, 1.5 * likely + 256 * MIB),
        f"the maximum of {tokens} tokens x ({gate:.0f} + 3 x {shape.hidden_size}) x {number}"
        f" bytes and {rows} requests x {shape.vocabulary} x {_SAMPLER_BYTES} bytes",
        "vllm/v1/worker/gpu_model_runner.py (profile_run); layers/activation.py (SiluAndMul)",
    )


MEMORY = EngineMemory(
    name="vllm",
    estimate=estimate,
    takes_share=True,
    queues_requests=True,
    caches_latent=True,
    # It has logged up to 1.79 GiB outside of PyTorch on one GPU.
    most_context_bytes=1840 * MIB,
    needed_cache=needed_cache,
    usable_bytes=usable_bytes,
)
