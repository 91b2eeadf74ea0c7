"""How a model will be served: the engine, and every number that affects its memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from mealkit.memory.terms import MIB, Estimate, Term

if TYPE_CHECKING:
    from mealkit.memory.shape import Shape

KvDtype = Literal["f32", "bf16", "f16", "fp8", "int8", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

# Bytes per cached number. q*: ggml's blocks of 32 numbers, ggml-common.h (block_q8_0, ...).
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
    """The measurement with which the estimate will be compared."""

    DEVICE = "device"
    """All GPU memory that the process uses, as nvidia-smi reports it."""
    ALLOCATED = "allocated"
    """The engine's allocations, as ``torch.cuda.max_memory_allocated`` reports them.

    Without the CUDA context, and without memory that is only reserved.
    """


class Scope(StrEnum):
    """Which GPUs are counted when layers are divided among several of them."""

    EACH_GPU = "each"
    ALL_GPUS = "all"


@dataclass(frozen=True, slots=True)
class Habits:
    """How a version of the engine's library uses memory; the defaults are a current version's."""

    prompt_logits_bytes: int = 0
    """Bytes per token of the prompt and entry of the vocabulary; 0: only the last has logits."""
    cache_copies: int = 1
    """2: the cache of the previous step exists until the step has ended."""
    rotary_tables: bool = False
    """Whether every layer has its own table of rotary positions."""
    pool_first: bool = True
    """Whether loading allocates one block for all weights, which avoids losses by rounding."""
    attention_bytes: int = 0
    """Bytes per pair of tokens and head of the attention scores; 0: not stored (flash or sdpa)."""
    cache_tokens: int | None = None
    """The number of tokens in a cache of fixed size; None: the cache grows."""


def _whole(memory_bytes: int, _setting: "Setting") -> int:
    return memory_bytes


def _current(_version: tuple[int, int] | None) -> Habits:
    return Habits()


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """An engine's use of memory, as its own folder states it."""

    name: str
    """The engine's name in ``runtime.engine``."""
    estimate: Callable[["Shape", "Setting"], Estimate]
    """Estimates the memory on each GPU for serving a model, at the worst moment."""
    usable_bytes: Callable[[int, "Setting"], int] = _whole
    """Returns how much of a GPU's memory the engine uses at most; by default all of it."""
    habits_of: Callable[[tuple[int, int] | None], Habits] = _current
    """Returns the habits of a version of its library; None: a current version."""
    takes_share: bool = False
    """Whether it always reserves its share of a GPU, even for a small model."""
    queues_requests: bool = False
    """Whether it starts with space for the context of one request; other requests then wait."""
    splits_layers: bool = False
    """Whether it divides whole layers among several GPUs, not every layer among all."""
    on_processors: bool = False
    """Whether it usually computes in main memory: GPUs are then only shown if one is named."""
    caches_latent: bool = False
    """Whether it caches the latent vector of multi-head latent attention unchanged."""
    most_context_bytes: int = 800 * MIB
    """The maximum memory on a GPU besides tensors that was seen for its process."""
    needed_cache: Callable[["Shape", "Setting"], Term] | None = None
    """Estimates the cache that all requests need, if they fit only into a cache of fixed size that
    it reserves (``Setting.cache_space_bytes``); None: its cache grows."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything except the model that affects memory."""

    engine: EngineMemory
    context_tokens: int
    """The tokens of prompt and answer together, per request."""
    prompt_tokens: int | None = None
    """The tokens of the longest prompt; None: a prompt may fill the context."""
    concurrency: int = 1
    """The number of concurrent requests, each with a full context."""
    kv_dtype: KvDtype = "f16"
    float_bytes: int | None = None
    """Bytes per float weight after loading; None: as stored in the file."""
    tensor_parallel: int = 1
    layer_split: int = 1
    """The number of GPUs among which whole layers are divided (``device_map``)."""
    utilisation: float = 0.9
    """The share of a GPU's memory that the engine reserves, if it reserves one."""
    batched_tokens: int = 8192
    """The maximum number of tokens that are computed together, for all requests."""
    cuda_graphs: bool = True
    """Whether CUDA graphs are captured."""
    cache_space_bytes: int | None = None
    """Main memory that the engine reserves for its cache, to compute on processors; None: it uses
    a GPU."""
    micro_batch: int = 512
    """The maximum number of tokens of one request that are computed together."""
    flash_attention: bool = True
    """Whether attention is computed without the matrix of all scores."""
    compute_capability: tuple[int, int] = (8, 0)
    loading_bytes: int = 0
    """Bytes that only loading needs besides the weights, such as copies of merged matrices."""
    habits: Habits = field(default_factory=Habits)
    compared: Compared = Compared.DEVICE
    scope: Scope = Scope.EACH_GPU

    @property
    def longest_prompt(self) -> int:
        """The tokens of the longest prompt."""
        return self.context_tokens if self.prompt_tokens is None else self.prompt_tokens

    @property
    def devices(self) -> int:
        """The number of GPUs for one replica."""
        return max(self.tensor_parallel, self.layer_split)
