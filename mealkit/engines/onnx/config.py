"""Checks the onnx worker's configuration when the worker starts.

Raises ContainerError for values that this worker cannot apply exactly. Imports only the standard
library.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mealkit.worker.interface import WorkerConfig, require_fields, require_positive


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """The settings for loading the graph, for every task."""

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
        require_positive(flags["threads"], "settings.threads")
        return cls(config.model_root, flags["graph"], flags["threads"])
