"""Checks the hyperparameters of embeddings, classification and reranking in the worker.

Raises ContainerError for values that no worker can apply exactly. Standard library only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from mealkit.worker.interface import (
    WorkerConfig,
    require_fields,
    require_one_of,
    require_positive,
)


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """How the vectors of tokens are combined into one."""

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
        _require_hyperparameters(chosen, fields, ("refuse", "truncate_if_asked"))
        require_one_of(chosen["pooling"], ("mean", "cls"), "hyperparameters.pooling")
        return cls(chosen["pooling"], chosen["max_length"], chosen["normalize"])


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How logits are converted to probabilities or scores."""

    function: str
    max_length: int

    @classmethod
    def of(cls, config: WorkerConfig, functions: Sequence[str]) -> Self:
        """Check the hyperparameters of classification or reranking.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        chosen = config.hyperparameters
        _require_hyperparameters(
            chosen, {"function": str, "max_length": int, "overlong": str}, ("refuse",)
        )
        require_one_of(chosen["function"], functions, "hyperparameters.function")
        return cls(chosen["function"], chosen["max_length"])


def _require_hyperparameters(
    chosen: Mapping[str, Any], fields: Mapping[str, type], overlong: Sequence[str]
) -> None:
    require_fields(chosen, fields, "hyperparameters")
    require_one_of(chosen["overlong"], overlong, "hyperparameters.overlong")
    require_positive(chosen["max_length"], "hyperparameters.max_length")
