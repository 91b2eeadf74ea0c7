"""How a model will be served: the engine and every number that changes what it takes of memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from mealkit.memory.terms import MIB, Estimate

if TYPE_CHECKING:
    from mealkit.memory.shape import Shape

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
    """What the estimate is to be compared with."""

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
    """What a version of the engine's library does with memory; these are a current one's."""

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


def _whole(memory_bytes: int, _setting: "Setting") -> int:
    return memory_bytes


def _current(_version: tuple[int, int] | None) -> Habits:
    return Habits()


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """How an engine takes memory, as its own folder states it."""

    name: str
    """The engine's name in ``runtime.engine``."""
    estimate: Callable[["Shape", "Setting"], Estimate]
    """What serving a model needs of each GPU, at its worst moment."""
    usable_bytes: Callable[[int, "Setting"], int] = _whole
    """How much of a GPU's memory it lets itself use; by default all of it."""
    habits_of: Callable[[tuple[int, int] | None], Habits] = _current
    """What a version of its library does; None: a current one."""
    takes_share: bool = False
    """Whether it takes its share of a GPU whole, however little the model needs."""
    queues_requests: bool = False
    """Whether it starts as soon as one request has room for its context; others then wait."""
    splits_layers: bool = False
    """Whether it spreads whole layers over several GPUs, not every layer over all of them."""
    on_processors: bool = False
    """Whether it usually computes in main memory: GPUs are then shown only if one is named."""
    caches_latent: bool = False
    """Whether it caches the latent vector of multi-head latent attention as it is."""
    most_context_bytes: int = 800 * MIB
    """The most that its process was seen to hold on a GPU besides tensors."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything besides the model that decides about memory."""

    engine: EngineMemory
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
    """GPUs over which whole layers are spread (``device_map``)."""
    utilisation: float = 0.9
    """The share of a GPU that an engine takes which takes one."""
    batched_tokens: int = 8192
    """The most tokens that are computed together, of all requests."""
    cuda_graphs: bool = True
    """Whether CUDA graphs are captured."""
    micro_batch: int = 512
    """The most tokens of one request that are computed at a time."""
    flash_attention: bool = True
    """Whether attention does without the matrix of all scores."""
    compute_capability: tuple[int, int] = (8, 0)
    loading_bytes: int = 0
    """Bytes that only loading needs beside the weights, such as copies of merged matrices."""
    habits: Habits = field(default_factory=Habits)
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
