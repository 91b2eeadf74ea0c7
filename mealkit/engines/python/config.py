"""Checks the python worker's configuration when the worker starts.

Raises ContainerError for values that this worker cannot apply exactly. Imports only the standard
library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mealkit.errors import failure
from mealkit.worker.interface import WorkerConfig, require_fields

_SETTINGS: Mapping[str, type] = {
    "handler": str,
    "concurrency": int,
    "threads": int,
    "fetch_from": list,
    "fetch_private": bool,
    "fetch_seconds": int,
    "max_file_bytes": int,
}


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The limits for files of a request, and the places from which they may be fetched."""

    fetch_from: tuple[str, ...]
    """The URLs from which files may be fetched; each allows its folder and everything below it."""
    fetch_private: bool
    """Whether these URLs may point to addresses that are not public."""
    fetch_seconds: int
    """The maximum time for all fetches of a request together."""
    max_file_bytes: int
    """The maximum size of all files of a request together, and of all files of an answer."""


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """The engine's part of the lock, checked."""

    model_root: Path
    code_root: Path
    file: str
    class_name: str
    concurrency: int
    threads: int
    limits: FileLimits
    seed: int
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, config: WorkerConfig) -> Self:
        """Check a worker's configuration.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
        """
        chosen, flags = config.hyperparameters, config.settings
        require_fields(chosen, {"seed": int, "parameters": dict}, "hyperparameters")
        require_fields(flags, _SETTINGS, "settings")
        for name in ("concurrency", "threads", "fetch_seconds", "max_file_bytes"):
            if flags[name] < 1:
                where = f"settings.{name}"
                message = f"{where} is {flags[name]}, expected 1 or more"
                raise failure("CONFIG_INVALID", message, where=where)
        file, _, class_name = flags["handler"].partition(":")
        if not file.endswith(".py") or ".." in Path(file).parts or not class_name.isidentifier():
            message = f"settings.handler is {flags['handler']!r}, expected FILE.py:CLASS"
            raise failure("CONFIG_INVALID", message, where="settings.handler")
        return cls(
            model_root=config.model_root,
            code_root=config.code_root,
            file=file,
            class_name=class_name,
            concurrency=flags["concurrency"],
            threads=flags["threads"],
            limits=FileLimits(
                fetch_from=tuple(flags["fetch_from"]),
                fetch_private=flags["fetch_private"],
                fetch_seconds=flags["fetch_seconds"],
                max_file_bytes=flags["max_file_bytes"],
            ),
            seed=chosen["seed"],
            parameters=chosen["parameters"],
        )
