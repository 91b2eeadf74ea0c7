"""Estimates onnxruntime's memory: weights, an arena that grows in powers of two, the runtime."""

from mealkit.memory.device import is_device
from mealkit.memory.kv_cache import SOURCE, cache_bytes, cache_formula
from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import MIB, Estimate, Phase, Term, between, exact

_FLOAT = 4
_ARENA = "onnxruntime, core/framework/bfc_arena.h (kNextPowerOfTwo)"


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Estimate the memory of one process, on a CPU or a GPU."""
    terms = [_weights(shape, setting)]
    if not shape.generates:
        terms.append(_activations(shape, setting))
    else:
        terms.append(_pieces(shape, setting))
        cache = cache_bytes(shape, setting)
        terms.append(exact("kv cache", cache, cache_formula(shape, setting), SOURCE))
    if is_device(setting):
        terms.append(
            between(
                "runtime",
                (30 * MIB, 60 * MIB, 200 * MIB),
                "interpreter and libraries",
                "measured: 48 MiB for Python 3.13 with onnxruntime and tokenizers",
            )
        )
    return Estimate((Phase("serving", tuple(terms)),))


def _weights(shape: Shape, setting: Setting) -> Term:
    loaded = shape.loaded_as(setting.float_bytes)
    return between(
        "weights",
        (loaded, 1.5 * loaded, 2.1 * loaded),
        f"{loaded} bytes, some of them twice: packed for the processor's kernels",
        "measured: all-MiniLM-L6-v2, 87 MiB of weights, 130 MiB after loading",
    )


def _activations(shape: Shape, setting: Setting) -> Term:
    """Return the term for whole inputs, several per run."""
    tokens = setting.longest_prompt
    rows = setting.concurrency
    scores = 2 * shape.heads * tokens * tokens
    wide = tokens * (2 * shape.intermediate_size + 4 * shape.hidden_size)
    size = rows * max(scores + 4 * tokens * shape.hidden_size, wide) * _FLOAT
    return between(
        "activations",
        (0.5 * size, size, 2 * size),
        f"{rows} x the maximum of 2 x {shape.heads} heads x {tokens}^2 and"
        f" {tokens} x (2 x {shape.intermediate_size} + 4 x {shape.hidden_size}), x 4 bytes;"
        " up to twice that in the arena",
        _ARENA,
    )


def _pieces(shape: Shape, setting: Setting) -> Term:
    """Return the term for a piece of one prompt, with the whole context and all its logits."""
    tokens = min(setting.longest_prompt, setting.micro_batch)
    scores = 2 * shape.heads * setting.context_tokens + 4 * shape.hidden_size
    wide = 2 * shape.intermediate_size + 4 * shape.hidden_size
    size = tokens * (max(scores, wide) + shape.vocabulary) * _FLOAT
    return between(
        "activations",
        (0.25 * size, size, 2 * size),
        f"{tokens} tokens per step x (the maximum of 2 x {shape.heads} heads x"
        f" {setting.context_tokens} + 4 x {shape.hidden_size} and 2 x {shape.intermediate_size}"
        f" + 4 x {shape.hidden_size}, + {shape.vocabulary} logits) x 4 bytes; up to twice that in"
        " the arena",
        _ARENA,
    )


MEMORY = EngineMemory(
    name="onnx",
    estimate=estimate,
    splits_layers=True,
    on_processors=True,
)
