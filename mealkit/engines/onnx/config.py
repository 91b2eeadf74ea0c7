"""The onnx worker's configuration, checked again where it is used.

Refuses values that this worker cannot honour exactly. Standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mealkit.engines.worker import WorkerConfig, require_fields
from mealkit.errors import failure


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What the lock pins of this engine, checked."""

    model_root: Path
    pooling: str
    max_length: int
    normalize: bool
    graph: str
    threads: int

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check a worker's configuration.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        chosen, flags = config.hyperparameters, config.settings
        fields = {"pooling": str, "max_length": int, "normalize": bool, "overlong": str}
        require_fields(chosen, fields, "hyperparameters")
        require_fields(flags, {"graph": str, "threads": int}, "settings")
        _require_one_of(chosen["pooling"], ("mean", "cls"), "hyperparameters.pooling")
        _require_one_of(chosen["overlong"], ("refuse",), "hyperparameters.overlong")
        _require_positive(chosen["max_length"], "hyperparameters.max_length")
        _require_positive(flags["threads"], "settings.threads")
        return cls(
            model_root=config.model_root,
            pooling=chosen["pooling"],
            max_length=chosen["max_length"],
            normalize=chosen["normalize"],
            graph=flags["graph"],
            threads=flags["threads"],
        )


def _require_one_of(value: str, allowed: Sequence[str], where: str) -> None:
    if value not in allowed:
        message = f"{where} is {value!r}, expected {' or '.join(map(repr, allowed))}"
        raise failure("CONFIG_INVALID", message, where=where)


def _require_positive(value: int, where: str) -> None:
    if value < 1:
        raise failure("CONFIG_INVALID", f"{where} is {value}, expected 1 or more", where=where)
