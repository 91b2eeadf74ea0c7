"""How a model will be served: the engine and every number that changes what it takes of memory."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Engine = Literal["transformers", "vllm", "llama-cpp", "onnx"]
KvDtype = Literal["f32", "bf16", "f16", "fp8", "int8", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

# Bytes of one cached number. q*: ggml's blocks of 32 numbers, ggml-common.h (block_q8_0, ...).
KV_BYTES: dict[KvDtype, float] = {
    "f32": 4.0,
    "bf16": 2.0,
    "f16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}


class Compared(StrEnum):
    """What the estimate is to be held against."""

    DEVICE = "device"
    """All memory of the GPU that the process holds, as nvidia-smi tells it."""
    ALLOCATED = "allocated"
    """What the engine asks for, as ``torch.cuda.max_memory_allocated`` tells it.

    No CUDA context, and no memory that only is reserved.
    """


class Scope(StrEnum):
    """Whose memory is counted when layers are spread over several GPUs."""

    EACH_GPU = "each"
    ALL_GPUS = "all"


@dataclass(frozen=True, slots=True)
class Habits:
    """What a version of transformers does with memory; ``habits_of`` gives those of a version."""

    prompt_logits_bytes: int = 0
    """Bytes per token of the prompt and entry of the vocabulary; 0: only the last has logits."""
    cache_copies: int = 1
    """2: the cache of the step before lives until the step has ended."""
    rotary_tables: bool = False
    """Whether every layer holds its own table of rotary positions."""
    pool_first: bool = True
    """Whether loading takes one block for all weights, which leaves no rounding behind."""
    attention_bytes: int = 0
    """Bytes per pair of tokens and head that attention writes out; 0: flash or sdpa, nothing."""
    cache_tokens: int | None = None
    """Tokens that a cache of fixed size holds; None: it grows."""


def habits_of(version: tuple[int, int] | None) -> Habits:
    """Return what a version of transformers does; None: a current one.

    Source: the source of transformers, models/qwen2/modeling_qwen2.py and models/llama/. Before
    4.45 ``forward`` made logits of the whole prompt and copied them to 32 bit (2 + 4 bytes),
    every layer had its RotaryEmbedding with tables, and ``generate`` kept the cache as tuples.
    Since 4.50 ``from_pretrained`` takes one block first (caching_allocator_warmup).
    """
    if version is not None and version < (4, 45):
        return Habits(prompt_logits_bytes=6, cache_copies=2, rotary_tables=True, pool_first=False)
    return Habits(pool_first=version is None or version >= (4, 50))


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything besides the model that decides about memory."""

    engine: Engine
    context_tokens: int
    """Prompt and answer together, per request."""
    prompt_tokens: int | None = None
    """The longest prompt; None: it may fill the context."""
    concurrency: int = 1
    """Requests at a time, each with a full context."""
    kv_dtype: KvDtype = "f16"
    float_bytes: int | None = None
    """Width that float weights are cast to when loaded; None: as they are stored."""
    tensor_parallel: int = 1
    layer_split: int = 1
    """GPUs over which whole layers are spread (``device_map``), for transformers."""
    utilisation: float = 0.9
    """vLLM's ``--gpu-memory-utilization``."""
    batched_tokens: int = 8192
    """vLLM's ``--max-num-batched-tokens``."""
    cuda_graphs: bool = True
    """vLLM: whether graphs are captured (no ``--enforce-eager``)."""
    micro_batch: int = 512
    """llama.cpp's ``--ubatch-size``."""
    flash_attention: bool = True
    """llama.cpp's ``--flash-attn``."""
    compute_capability: tuple[int, int] = (8, 0)
    loading_bytes: int = 0
    """Bytes that only loading needs beside the weights, such as copies of merged matrices."""
    habits: Habits = field(default_factory=lambda: habits_of(None))
    compared: Compared = Compared.DEVICE
    scope: Scope = Scope.EACH_GPU

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt."""
        return self.context_tokens if self.prompt_tokens is None else self.prompt_tokens

    @property
    def devices(self) -> int:
        """How many GPUs one replica takes."""
        return max(self.tensor_parallel, self.layer_split)
