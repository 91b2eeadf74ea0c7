"""The form in which an engine says how a kit is written for a model that others published.

Build side only. An importer finds the files and asks every engine; the one that suits best writes
its part of the kit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.recipe.kit import Task

Comments = Mapping[tuple[str | int, ...], str]


@dataclass(frozen=True, slots=True)
class Published:
    """A published model, as an engine sees it that may be chosen for it."""

    task: Task
    bytes_by_format: Mapping[str, int]
    """The bytes of its weights: ``safetensors``, ``gguf``, ``onnx``; only the formats it has."""
    named_file: str | None = None
    """The file of weights that was asked for."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that an engine was chosen for."""

    task: Task
    config: Mapping[str, Any]
    """Its config.json; empty where there is none."""
    weight: str
    """The first file of its weights."""
    max_length: int
    """The most tokens of a request, as the kit pins them."""


@dataclass(frozen=True, slots=True)
class Description:
    """A file in which a model is described for one engine, if its repository has it."""

    file: str
    """Its name."""
    main_file: tuple[str, ...]
    """The keys that lead to the name of the file of weights to load."""
    needed_for: Task
    """The task that the engine does only with it."""
    read_without: tuple[str, ...]
    """What the engine reads beside the weights where it is missing."""


@dataclass(frozen=True, slots=True)
class PublishedModels:
    """How an engine serves models that others published."""

    weights: str
    """The format of weights that it takes."""
    suits: Callable[[Published], int]
    """How well it suits a model, 0: not at all; the engine with the greatest number is chosen."""
    part: Callable[[Served], tuple[dict[str, Any], Comments]]
    """Its part of the kit: ``runtime``, ``hardware`` and ``serving``, and comments on them."""
    reads_configs: bool = True
    """Whether it reads tokenizer and configs from files beside the weights."""
    data_endings: tuple[str, ...] = ()
    """Endings of files beside a file of weights that hold its numbers."""
    description: Description | None = None
    """The file that describes models for it alone."""
    left_out: tuple[str, str, str] | None = None
    """What a kit needs besides that cannot be carried over: what, why, what to do instead."""
    kit_files: tuple[str, ...] = ()
    """Files of its new kit that a kit for a published model has, too."""


def on_processors(engine: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a kit whose engine computes without a GPU, on mealkit's own base."""
    return {
        "runtime": {
            "engine": engine,
            "settings": dict(settings),
            "base": {"source": "debian", "suite": "trixie"},
            "python": "3.13",
        },
        "hardware": {"gpu": "none", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 8, "timeout_seconds": 300},
    }
