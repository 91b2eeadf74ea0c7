"""What a model is like, from the headers of its weights and its config.json.

Refuses a config.json that is not JSON; what it leaves out stays unknown.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from mealkit.errors import PreflightError, failure
from mealkit.lock.model import ModelShape
from mealkit.preflight.estimate.describe import (
    architecture_of_config,
    positions_of_config,
    positions_of_gguf,
    shape_of_config,
    shape_of_gguf,
)
from mealkit.preflight.estimate.shape import Shape
from mealkit.sources.formats import Format
from mealkit.sources.gguf import GgufHeader, read_gguf
from mealkit.sources.ranges import RangeReader
from mealkit.sources.safetensors import Tensors, read_safetensors

_MAX_CONFIG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the model whose header can be read."""

    path: str
    format: Format
    ranges: RangeReader


def shape_of(files: Sequence[ModelFile]) -> ModelShape:
    """Return what headers and config.json say; sharded weights are added up.

    Where there is GGUF metadata, config.json does not count. The description's bytes count ONNX
    graphs and pickles, whose headers tell no types, whole, under ``ONNX`` and ``PICKLE``.

    Raises:
        SourceError: ``WEIGHTS_DAMAGED`` or ``WEIGHTS_FORMAT``.
    """
    tensors = [read_safetensors(file.path, file.ranges) for file in _of("safetensors", files)]
    headers = [read_gguf(file.path, file.ranges) for file in _of("gguf", files)]
    config = _config_of(files)
    named = next((header for header in headers if _architecture(header) is not None), None)
    if named is not None:
        architecture, positions = _architecture(named), positions_of_gguf(named.metadata)
    else:
        architecture, positions = architecture_of_config(config), positions_of_config(config)
    return ModelShape(
        architecture=architecture,
        parameters=sum(part.parameters for part in (*tensors, *headers)),
        max_positions=positions,
        described=_described(
            config, tensors, named.metadata if named else None, headers, _whole(files)
        ),
    )
