"""The interface by which an engine describes how a kit for a published model is written.

Build side only. An importer finds the files and checks every engine; the most suitable one writes
its part of the kit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.recipe.kit import Task

Comments = Mapping[tuple[str | int, ...], str]


@dataclass(frozen=True, slots=True)
class Published:
    """A published model, with the facts for choosing an engine."""

    task: Task
    bytes_by_format: Mapping[str, int]
    """The size of its weights in each of its formats: ``safetensors``, ``gguf``, ``onnx``."""
    named_file: str | None = None
    """The file of weights that the user named."""


@dataclass(frozen=True, slots=True)
class Served:
    """A published model for which an engine was chosen."""

    task: Task
    config: Mapping[str, Any]
    """Its config.json; empty if it has none."""
    weight: str
    """The first file of its weights."""
    max_length: int
    """The maximum number of tokens of a request, as the kit pins it."""


@dataclass(frozen=True, slots=True)
class Description:
    """A file that describes the model for one engine, if the repository has it."""

    file: str
    """The file's name."""
    main_file: tuple[str, ...]
    """The keys that lead to the name of the weight file."""
    needed_for: Task
    """The task that the engine supports only with this file."""
    read_without: tuple[str, ...]
    """The files that the engine reads besides the weights if this file is missing."""


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """A form in which an engine reads a tokenizer."""

    files: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The engine's settings for this form."""
    has_chat_format: bool = False
    """Whether the tokenizer itself writes chats, so that the model needs no chat template."""


@dataclass(frozen=True, slots=True)
class PublishedModels:
    """How an engine serves published models."""

    weights: str
    """The weight format that it supports."""
    suits: Callable[[Published], int]
    """Returns how well it suits a model, 0 for not at all; the highest number is chosen."""
    part: Callable[[Served], tuple[dict[str, Any], Comments]]
    """Returns its part of the kit: ``runtime``, ``hardware`` and ``serving``, with comments."""
    reads_configs: bool = True
    """Whether it reads tokenizer and configs from separate files."""
    tokenizers: tuple[TokenizerFiles, ...] = ()
    """The forms in which it reads a tokenizer, the best one first; none if the weights have it."""
    whole_name: str | None = None
    """The name that weights in one file must have; None if it reads any name."""
    reads_quantised: bool = True
    """Whether it reads weights with a ``quantization_config`` without further packages."""
    data_endings: tuple[str, ...] = ()
    """The suffixes of files that contain the numbers of a weight file."""
    description: Description | None = None
    """The file that describes models for this engine only."""
    left_out: tuple[str, str, str] | None = None
    """What the author has to add to the kit: what, why, and how."""
    kit_files: tuple[str, ...] = ()
    """Files of its new kit that a kit for a published model also has."""


def on_processors(engine: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a kit whose engine runs on processors, on mealkit's own base."""
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
