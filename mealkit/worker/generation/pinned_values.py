"""Checks the hyperparameters of text generation in the worker.

Raises ContainerError for values that the generator cannot apply exactly. The sampling values come
with every request; here they are only checked. Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mealkit.recipe.sampling_parameters import PINNED
from mealkit.worker.interface import WorkerConfig, require_fields, require_one_of, require_positive

_NUMBERS = frozenset(parameter.name for parameter in PINNED if parameter.kind is float)
_FIELDS: Mapping[str, type] = {
    "max_length": int,
    "stop": list,
    "chat_template": str,
    "tool_calls": str,
    "overlong": str,
    **{parameter.name: parameter.kind for parameter in PINNED},
}
# Integers up to this one are exact as floats.
_MOST = 2**53
_CHOICES = {"tool_calls": ("none", "hermes"), "overlong": ("refuse",)}


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """The lock's values for text generation, checked."""

    model_root: Path
    max_length: int
    chat_template: str
    """``model``, ``none``, or a path below ``model_root``."""
    tool_calls: str

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check a worker's hyperparameters.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        chosen = _with_floats(config.hyperparameters)
        require_fields(chosen, _FIELDS, "hyperparameters")
        for name, allowed in _CHOICES.items():
            require_one_of(chosen[name], allowed, f"hyperparameters.{name}")
        require_positive(chosen["max_length"], "hyperparameters.max_length")
        return cls(
            model_root=config.model_root,
            max_length=chosen["max_length"],
            chat_template=chosen["chat_template"],
            tool_calls=chosen["tool_calls"],
        )


def _with_floats(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert 1 to 1.0, which JSON does not distinguish. A very large integer stays unchanged."""
    return {
        name: float(value)
        if name in _NUMBERS and type(value) is int and abs(value) <= _MOST
        else value
        for name, value in values.items()
    }
