"""Checks the transformers worker's configuration when the worker starts.

Raises ContainerError for values that this worker cannot apply exactly. Imports only the standard
library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mealkit.worker.interface import WorkerConfig, require_fields, require_one_of, require_positive

_SETTINGS = {
    "dtype": str,
    "device": str,
    "attn_implementation": str,
    "threads": int,
    "max_batch_size": int,
    "trust_remote_code": bool,
}
_CHOICES: Mapping[str, Sequence[Any]] = {
    "dtype": ("float32", "float16", "bfloat16"),
    "device": ("cpu", "cuda"),
    "attn_implementation": ("sdpa", "eager"),
    "max_batch_size": (1,),
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The settings for loading the model, for every task."""

    root: Path
    dtype: str
    device: str
    attn_implementation: str
    threads: int
    trust_remote_code: bool

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check a worker's settings.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        flags = config.settings
        require_fields(flags, _SETTINGS, "settings")
        for name, choices in _CHOICES.items():
            require_one_of(flags[name], choices, f"settings.{name}")
        require_positive(flags["threads"], "settings.threads")
        kept = {name: value for name, value in flags.items() if name != "max_batch_size"}
        return cls(root=config.model_root, **kept)
