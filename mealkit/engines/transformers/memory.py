"""Estimates the memory of PyTorch with transformers, which allocate everything when it is needed.

The worst of three moments counts: loading, processing the longest prompt, or the last token.
"""

from collections.abc import Mapping

from mealkit.memory.activations import (
    ACTIVATION_BYTES,
    crowded_numbers_per_token,
    describe,
    layer_numbers_per_token,
)
from mealkit.memory.allocator import (
    large_tensors,
    loading_rounding_bytes,
    workspace_bytes,
)
from mealkit.memory.device import context_term, is_device, reserved_term
from mealkit.memory.kv_cache import LATENT_SOURCE, SOURCE, cache_bytes, cache_formula
from mealkit.memory.setting import EngineMemory, Habits, Scope, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import MIB, Estimate, Phase, Term, between, exact

_MODELING = "transformers, models/qwen2/modeling_qwen2.py (Qwen2MLP, Qwen2DecoderLayer)"
_ALLOCATOR = "c10/cuda/CUDACachingAllocator.cpp (kSmallSize, kMinLargeAlloc, kRoundLarge)"
# 32-bit logits, their sorted copy, 64-bit indices, probabilities and their running sum.
_SAMPLING_BYTES = 24
# The number of tokens from which a matrix is dequantised as a whole, and the bytes per number for
# that: 16 bit; 8-bit GPTQ uses 32 bit first.
_MADE_WHOLE: Mapping[tuple[str, float], tuple[int, int]] = {
    ("gptq", 8): (128, 6),
    ("awq", 4): (1024, 2),
}
# A margin for what no term covers. No measurement so far needs more than 0.1 % of it; it is for
# models, kernels and versions that were not measured.
UNMODELLED = 0.04
_LOADING_FORMULA = "copies that are freed after the model is loaded"
_LOADING_SOURCE = "an output matrix in the file although embeddings are tied; merged matrices"
# The maximum number of tokens of rotary tables that layers had for themselves.
_ROTARY_TOKENS = 32768


def habits_of(version: tuple[int, int] | None) -> Habits:
    """Return how a version of transformers uses memory; None: a current version.

    Source: the source of transformers, models/qwen2/modeling_qwen2.py and models/llama/. Before
    4.45 ``forward`` made logits of the whole prompt and copied them to 32 bit (2 + 4 bytes),
    every layer had its RotaryEmbedding with tables, and ``generate`` kept the cache as tuples.
    Since 4.50 ``from_pretrained`` takes one block first (caching_allocator_warmup).
    """
    if version is not None and version < (4, 45):
        return Habits(prompt_logits_bytes=6, cache_copies=2, rotary_tables=True, pool_first=False)
    return Habits(pool_first=version is None or version >= (4, 50))


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Estimate the memory of one GPU, or of all together, depending on the setting's scope."""
    parts = _Parts(shape, setting)
    return Estimate(
        (
            _phase("loading", parts.loading()),
            _phase("reading the prompt", parts.prompt()),
            _phase("generating", parts.generating()),
        )
    )


def _phase(name: str, terms: tuple[Term, ...]) -> Phase:
    unforeseen = UNMODELLED * sum(term.likely_bytes for term in terms)
    rest = between(
        "unmodelled",
        (0, 0, unforeseen),
        f"0 to {UNMODELLED:.0%} of the rest",
        "a margin for what was not measured; benchmarks/vram says how much of it was needed",
    )
    return Phase(name, (*terms, rest))


class _Parts:
    """The terms of each moment; ``_spread`` and ``_each`` convert a total to the scope's share."""

    def __init__(self, shape: Shape, setting: Setting) -> None:
        self._shape = shape
        self._setting = setting
        every = setting.scope is Scope.ALL_GPUS
        # What is divided among GPUs is counted once; what every GPU has is counted for each.
        self._spread = 1 if every else setting.devices
        self._each = setting.devices if every else 1

    def loading(self) -> tuple[Term, ...]:
        extra = self._shape.tied_copy_bytes + self._setting.loading_bytes
        terms = [self._weights()]
        if extra:
            terms.append(exact("loading copies", extra, _LOADING_FORMULA, _LOADING_SOURCE))
        return (*terms, *self._around(0))

    def prompt(self) -> tuple[Term, ...]:
        """Return the terms of a layer's widest moment or of the logits, whichever are larger."""
        setting = self._setting
        tokens = setting.longest_prompt * setting.concurrency
        cache = self._cache(1, setting.longest_prompt)
        inside = max(self._inside_a_layer(tokens), key=lambda term: term.likely_bytes)
        logits = self._logits(tokens)
        passing = [inside] if inside.likely_bytes > logits.likely_bytes else [logits]
        if setting.layer_split > 1 and passing == [logits]:
            # The last GPU computes the logits; the others had their widest moment before.
            passing = [_stretched(logits, inside.high_bytes // self._each)]
            if self._each > 1:
                passing.append(self._activations(tokens, self._each - 1))
        moving = sum(term.likely_bytes for term in (cache, *passing))
        return (self._weights(), *self._tables(), cache, *passing, *self._around(moving))

    def generating(self) -> tuple[Term, ...]:
        setting, shape = self._setting, self._shape
        cache = self._cache(setting.habits.cache_copies, setting.context_tokens)
        sampling = setting.concurrency * shape.vocabulary * _SAMPLING_BYTES
        logits = between(
            "logits",
            (sampling / 4, sampling, 2 * sampling),
            f"{setting.concurrency} x {shape.vocabulary} x {_SAMPLING_BYTES} bytes",
            "transformers, generation/logits_process.py (TopPLogitsWarper)",
        )
        moving = cache.likely_bytes + logits.likely_bytes
        return (self._weights(), *self._tables(), cache, logits, *self._around(moving))

    def _weights(self) -> Term:
        shape, setting = self._shape, self._setting
        loaded = shape.loaded_as(setting.float_bytes) / self._spread
        most = loading_rounding_bytes(shape)
        rounding = 0 if setting.habits.pool_first else most
        # Layers cannot be split: one GPU may get a layer or the embeddings more than its share.
        uneven = loaded * 0.05 if self._spread > 1 else 0
        return between(
            "weights",
            (loaded, loaded + rounding / self._spread, loaded + most / self._spread + uneven),
            f"{shape.loaded_bytes} bytes in the headers"
            + (f" + {rounding} of rounding" if rounding else "")
            + (f", over {setting.devices} GPUs" if self._spread > 1 else ""),
            f"the headers of the weights; {_ALLOCATOR}",
        )

    def _cache(self, copies: int, tokens: int) -> Term:
        shape, setting = self._shape, self._setting
        fixed = setting.habits.cache_tokens is not None
        whole = cache_bytes(shape, setting)
        share = 1.0 if fixed else tokens / max(1, setting.context_tokens)
        size = whole * share * copies / self._spread
        tensors = large_tensors(whole * share / (2 * shape.layers), 2 * shape.layers)
        slack = tensors * MIB * copies / self._spread
        formula = cache_formula(shape, setting)
        if copies > 1:
            formula += f", {copies} times while a step's new cache replaces the old one"
        # One layer's cache exists twice while it grows.
        growing = 0 if fixed else size / max(1, shape.layers)
        return between(
            "kv cache",
            (size, size + slack / 4, size + slack + growing),
            formula,
            f"{LATENT_SOURCE if shape.latent else SOURCE}; {_ALLOCATOR}",
        )

    def _tables(self) -> tuple[Term, ...]:
        shape, setting = self._shape, self._setting
        if not setting.habits.rotary_tables:
            return ()
        tokens = min(shape.max_positions or _ROTARY_TOKENS, _ROTARY_TOKENS)
        size = 2 * tokens * shape.head_dimension * 2 * shape.layers / self._spread
        formula = f"{shape.layers} layers x 2 tables x {tokens} x {shape.head_dimension} x 2 bytes"
        return (exact("rotary tables", size, formula, "transformers < 4.45, RotaryEmbedding"),)

    def _inside_a_layer(self, tokens: int) -> list[Term]:
        found = [self._activations(tokens, self._each), self._dequantised(tokens)]
        if self._setting.habits.attention_bytes:
            found.append(self._attention())
        return found

    def _activations(self, tokens: int, times: int) -> Term:
        likely = ACTIVATION_BYTES * tokens * layer_numbers_per_token(self._shape) * times
        crowded = ACTIVATION_BYTES * tokens * crowded_numbers_per_token(self._shape) * times
        formula = f"{tokens} tokens x {describe(self._shape)}{_on(times)}"
        sizes = (0.9 * likely, likely, max(1.1 * likely, crowded))
        return between("activations", sizes, formula, _MODELING)

    def _dequantised(self, tokens: int) -> Term:
        """Return the term for dequantising a matrix, with the values that pass through it."""
        shape = self._shape
        quantised = shape.quantisation
        kernel = (quantised.method, quantised.bits) if quantised else ("", 0)
        threshold, per_number = _MADE_WHOLE.get(kernel, (0, 0))
        whole = 0 if tokens < threshold else per_number * shape.largest_matrix * self._each
        width = shape.intermediate_size + 4 * shape.hidden_size
        size = (whole + ACTIVATION_BYTES * tokens * width * self._each) if whole else 0
        formula = f"{shape.largest_matrix} numbers x {per_number} bytes + {tokens} x {width} x 2"
        source = "auto_gptq qlinear_cuda_old.py; awq/modules/linear/gemm.py"
        return between("activations", (0, size, 1.3 * size), formula + _on(self._each), source)

    def _attention(self) -> Term:
        setting, shape = self._setting, self._shape
        per_pair = setting.habits.attention_bytes
        pairs = setting.concurrency * shape.heads * setting.longest_prompt**2
        size = pairs * per_pair * self._each
        tokens = setting.longest_prompt * setting.concurrency
        around = ACTIVATION_BYTES * tokens * 6 * shape.hidden_size
        return between(
            "attention scores",
            (size, size + around, 1.1 * size + 2 * around),
            f"{setting.concurrency} x {shape.heads} heads x {setting.longest_prompt}^2"
            f" x {per_pair} bytes + {tokens} x 6 x {shape.hidden_size} x 2",
            "scores in 16 bit, in 32 bit, and their softmax, all in memory at the same time",
        )

    def _logits(self, tokens: int) -> Term:
        setting, shape = self._setting, self._shape
        per_entry = setting.habits.prompt_logits_bytes or 6
        rows = tokens if setting.habits.prompt_logits_bytes else setting.concurrency
        size = rows * shape.vocabulary * per_entry
        formula = f"{rows} tokens x {shape.vocabulary} x {per_entry} bytes"
        if setting.layer_split > 1 and self._each > 1:
            size += rows * shape.vocabulary * 4
            formula += ", and their 32-bit copy on the first GPU (accelerate, io_same_device)"
        state = ACTIVATION_BYTES * tokens * shape.hidden_size
        return between(
            "logits",
            (size, size + state, size + 4 * state),
            f"{formula} + {tokens} x {shape.hidden_size} x 2",
            "transformers, Qwen2ForCausalLM.forward",
        )

    def _around(self, moving_bytes: int) -> tuple[Term, ...]:
        """Return the libraries' memory: workspaces and, for a whole device, its context."""
        shape, setting = self._shape, self._setting
        one = workspace_bytes(setting.compute_capability) * self._each
        scratch = 0
        formula = f"{one} bytes for cuBLAS"
        quantised = shape.quantisation
        if quantised and quantised.method == "gptq" and quantised.bits == 4:
            scratch = 2 * shape.largest_matrix * self._each
            formula += f" + one matrix of {shape.largest_matrix} numbers in 16 bit for exllama"
        terms = [
            between(
                "workspace",
                (scratch, one + scratch, 4 * one + scratch + 64 * MIB * self._each),
                formula,
                "aten/src/ATen/cuda/CublasHandlePool.cpp; auto_gptq exllama (temp_dq)",
            )
        ]
        if is_device(setting):
            terms += [reserved_term(moving_bytes), context_term(setting)]
        return tuple(terms)


def _stretched(term: Term, more_bytes: int) -> Term:
    """Return a term with a higher upper bound."""
    sizes = (term.low_bytes, term.likely_bytes, term.high_bytes + more_bytes)
    return between(term.name, sizes, term.formula, term.source)


def _on(gpus: int) -> str:
    return f", on {gpus} GPUs" if gpus > 1 else ""


MEMORY = EngineMemory(
    name="transformers",
    estimate=estimate,
    habits_of=habits_of,
    splits_layers=True,
)
