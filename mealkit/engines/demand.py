"""Converts an engine's flags to the values that affect its memory, and to its data types.

Build side only. Each engine names its own flags; this code is the same for all of them. Flags that
are not set have the engine's default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from mealkit.memory.setting import KvDtype
from mealkit.memory.shape import Shape
from mealkit.recipe.cuda_builds import release_of
from mealkit.recipe.requirements import Demand, Dtype

_DTYPES: dict[str, Dtype] = {
    "float32": "fp32",
    "float": "fp32",
    "f32": "fp32",
    "fp32": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "f16": "fp16",
    "fp16": "fp16",
    "bfloat16": "bf16",
    "bf16": "bf16",
}
_CACHED: dict[Dtype, KvDtype] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_CACHED_BY_NAME: dict[str, KvDtype] = {
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
}
_WIDTHS: dict[Dtype, int] = {"fp32": 4, "fp16": 2, "bf16": 2}
# NVIDIA's and other engines' requirement if several processes share the GPUs' work:
# https://docs.nvidia.com/nim/large-language-models/latest/ (--shm-size=16GB), vllm#1771
_SHARED_BYTES = 16 * 2**30
# On processors, a message queue between an engine's processes: vLLM 0.32 refuses to start with less
# than 160 MiB free (shm_broadcast.py, check_shm_free_space).
_SHARED_ON_PROCESSORS_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Use:
    """A kit's use of its engine."""

    flags: Mapping[str, Any]
    """The kit's hyperparameters and settings, including defaults."""
    concurrency: int
    """The gateway's limit for concurrent requests."""
    model: Shape | None = None
    """The model's shape; None: its files do not contain enough."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """The versions of the engine's packages."""

    def number(self, *names: str) -> int | None:
        """Return the first positive number among these flags."""
        found = (self.flags.get(name) for name in names)
        return next((item for item in found if type(item) is int and item > 0), None)

    def numbers(self, **names: str) -> dict[str, int]:
        """Return the fields whose flags have a positive number."""
        found = {field: self.number(name) for field, name in names.items()}
        return {field: number for field, number in found.items() if number is not None}

    @property
    def dtype(self) -> Dtype | None:
        """The data type of the computation, if a flag sets it."""
        stated = (self.flags.get(name) for name in ("dtype", "torch_dtype"))
        known = (_DTYPES[item] for item in stated if isinstance(item, str) and item in _DTYPES)
        return next(known, None)

    @property
    def float_bytes(self) -> int | None:
        """Bytes per float weight after loading; None: as stored in the file."""
        return _WIDTHS[self.dtype] if self.dtype else None

    def kv_dtype(self, flag: str | None = None) -> KvDtype:
        """Return the cache's type: the flag's, else 16 bit of the same kind as the weights."""
        stated = self.flags.get(flag) if flag else None
        named = _CACHED_BY_NAME.get(stated, stated) if isinstance(stated, str) else None
        if named in get_args(KvDtype):
            return cast("KvDtype", named)
        return "bf16" if self.model and "BF16" in self.model.bytes_by_dtype else "f16"

    @property
    def computed_kv_dtype(self) -> KvDtype:
        """The type of a cache that stores keys and values as they were computed."""
        return _CACHED[self.dtype] if self.dtype else self.kv_dtype()

    def release_of(self, package: str) -> tuple[int, int] | None:
        """Return the first two numbers of a package's version; None without the package."""
        return release_of(self.packages[package]) if package in self.packages else None

    def demand(
        self, engine: str, *, context: int | None, at_a_time: int | None, **stated: Any
    ) -> Demand | None:
        """Return an engine's demand; None if the length of a context is unknown.

        ``at_a_time`` is how many requests the engine computes together; None: all that it gets.
        """
        context = context or (self.model.max_positions if self.model else None)
        if context is None:
            return None
        together = min(self.concurrency, at_a_time) if at_a_time else self.concurrency
        return Demand(
            engine=engine,
            context_tokens=context,
            concurrency=together,
            **{"float_bytes": self.float_bytes, **stated},
        )


def no_demand(_use: Use) -> Demand | None:
    """Return None: the demand of an engine whose memory cannot be estimated."""
    return None


def dtypes_of(use: Use, by_itself: Dtype | None = None) -> tuple[Dtype, ...]:
    """Return the data types of the computation: the flag's type, else those of the weights.

    ``by_itself`` is the type that the engine uses for all weights if no flag sets one.
    """
    stored: Sequence[str] = tuple(use.model.bytes_by_dtype) if use.model else ()
    of_weights: dict[str, Dtype] = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}
    kept = next((dtype for name, dtype in of_weights.items() if name in stored), None)
    first = use.dtype or by_itself or kept
    found: list[Dtype] = [first] if first else []
    method = use.model.quantisation.method if use.model and use.model.quantisation else ""
    if "fp8" in method or any(name.startswith("F8_") for name in stored):
        found.append("fp8")
    if "fp4" in method or "F4" in stored:
        found.append("fp4")
    return tuple(found)


def shared_memory_bytes(demand: Demand | None) -> int:
    """Return the shared memory that an engine needs: much, if several GPUs work together.

    An engine that reserves its cache in main memory has processes that exchange messages there.
    """
    if demand is None:
        return 0
    if demand.tensor_parallel > 1:
        return _SHARED_BYTES
    return 0 if demand.cache_space_bytes is None else _SHARED_ON_PROCESSORS_BYTES
