"""Checks the llama-cpp worker's configuration when the worker starts.

Raises ContainerError for values that this worker cannot apply exactly. Imports only the standard
library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

from mealkit.errors import failure
from mealkit.worker.encoding_values import EmbeddingConfig
from mealkit.worker.interface import WorkerConfig, require_fields, require_positive

Pooling = Literal["none", "mean", "cls"]

# The cache types that the library supports, with their numbers in ggml.h (enum ggml_type).
CACHE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "bf16": 30}

_SETTINGS: Mapping[str, type] = {
    "model": str,
    "n_batch": int,
    "n_ubatch": int,
    "n_parallel": int,
    "threads": int,
    "flash_attn": bool,
    "cache_type_k": str,
    "cache_type_v": str,
    "use_mmap": bool,
    "use_mlock": bool,
    "repack": bool,
    "n_gpu_layers": int,
}


@dataclass(frozen=True, slots=True)
class LlamaCppConfig:
    """The engine's part of the lock, checked; the names are llama.cpp's."""

    model: Path
    context_tokens: int
    pooling: Pooling
    normalize: bool
    n_batch: int
    n_ubatch: int
    threads: int
    flash_attn: bool
    cache_type_k: str
    cache_type_v: str
    use_mmap: bool
    use_mlock: bool
    repack: bool
    n_gpu_layers: int

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check a worker's configuration, except the hyperparameters of text generation.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        flags = dict(config.settings)
        require_fields(flags, _SETTINGS, "settings")
        for name in ("n_batch", "n_ubatch", "threads"):
            _require(flags[name] >= 1, f"settings.{name}", flags[name], "1 or more")
        _require(flags["n_parallel"] == 1, "settings.n_parallel", flags["n_parallel"], "1")
        _require(
            flags["n_gpu_layers"] >= 0, "settings.n_gpu_layers", flags["n_gpu_layers"], "0 or more"
        )
        for name in ("cache_type_k", "cache_type_v"):
            known = flags[name] in CACHE_TYPES
            _require(known, f"settings.{name}", flags[name], " or ".join(CACHE_TYPES))
        length, pooling, normalize = _hyperparameters(config)
        # The vector depends on the whole text, so it must be computed in one batch.
        if config.task == "embeddings":
            for name in ("n_batch", "n_ubatch"):
                expected = f"max_length ({length}) or more"
                _require(flags[name] >= length, f"settings.{name}", flags[name], expected)
        del flags["n_parallel"]
        return cls(
            context_tokens=length,
            pooling=pooling,
            normalize=normalize,
            **{**flags, "model": config.model_root / flags["model"]},
        )


def _hyperparameters(config: WorkerConfig) -> tuple[int, Pooling, bool]:
    chosen = config.hyperparameters
    if config.task != "embeddings":
        length = chosen.get("max_length")
        if type(length) is not int:
            message = f"hyperparameters.max_length is {length!r}, expected a number"
            raise failure("CONFIG_INVALID", message, where="hyperparameters.max_length")
        require_positive(length, "hyperparameters.max_length")
        return length, "none", False
    how = EmbeddingConfig.of(config)
    return how.max_length, cast("Pooling", how.pooling), how.normalize


def _require(holds: bool, where: str, value: Any, expected: str) -> None:  # noqa: FBT001
    if not holds:
        raise failure("CONFIG_INVALID", f"{where} is {value!r}, expected {expected}", where=where)
