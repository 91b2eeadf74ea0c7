"""The onnx worker's configuration, checked again where it is used.

Refuses values that this worker cannot honour exactly. Standard library only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mealkit.engines.worker import WorkerConfig, require_fields
from mealkit.errors import failure


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """Which graph is loaded, and how: the same for every task."""

    root: Path
    graph: str
    threads: int

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check a worker's settings.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        flags = config.settings
        require_fields(flags, {"graph": str, "threads": int}, "settings")
        _require_positive(flags["threads"], "settings.threads")
        return cls(config.model_root, flags["graph"], flags["threads"])


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """How token vectors become one."""

    pooling: str
    max_length: int
    normalize: bool

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check the hyperparameters of the task embeddings.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        chosen = config.hyperparameters
        fields = {"pooling": str, "max_length": int, "normalize": bool, "overlong": str}
        _require_hyperparameters(chosen, fields)
        _require_one_of(chosen["pooling"], ("mean", "cls"), "hyperparameters.pooling")
        return cls(chosen["pooling"], chosen["max_length"], chosen["normalize"])


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How logits become probabilities, or scores."""

    function: str
    max_length: int

    @classmethod
    def of(cls, config: WorkerConfig, functions: Sequence[str]) -> Self:
        """Check the hyperparameters of classification or reranking.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        chosen = config.hyperparameters
        _require_hyperparameters(chosen, {"function": str, "max_length": int, "overlong": str})
        _require_one_of(chosen["function"], functions, "hyperparameters.function")
        return cls(chosen["function"], chosen["max_length"])


def _require_hyperparameters(chosen: Mapping[str, Any], fields: Mapping[str, type]) -> None:
    require_fields(chosen, fields, "hyperparameters")
    _require_one_of(chosen["overlong"], ("refuse",), "hyperparameters.overlong")
    _require_positive(chosen["max_length"], "hyperparameters.max_length")


def _require_one_of(value: str, allowed: Sequence[str], where: str) -> None:
    if value not in allowed:
        message = f"{where} is {value!r}, expected {' or '.join(map(repr, allowed))}"
        raise failure("CONFIG_INVALID", message, where=where)


def _require_positive(value: int, where: str) -> None:
    if value < 1:
        raise failure("CONFIG_INVALID", f"{where} is {value}, expected 1 or more", where=where)
