"""Reads a model's shape from the headers of its weights and its config.json.

Raises SourceError for a config.json that is not JSON; missing fields stay unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from mealkit.errors import PreflightError, failure
from mealkit.memory.config_fields import name_of
from mealkit.memory.describe import (
    architecture_of_config,
    positions_of_config,
    positions_of_gguf,
    shape_of_config,
    shape_of_gguf,
)
from mealkit.memory.shape import Shape
from mealkit.recipe.lock import ModelShape
from mealkit.sources.formats import Format
from mealkit.sources.gguf import GgufHeader, read_gguf
from mealkit.sources.model_parts import require_all_parts, require_all_shards
from mealkit.sources.ranges import RangeReader
from mealkit.sources.safetensors import Tensors, read_safetensors
from mealkit.untrusted import UntrustedError, parse_json

_MAX_CONFIG_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the model whose header can be read."""

    path: str
    format: Format
    ranges: RangeReader


def shape_of(files: Sequence[ModelFile]) -> ModelShape:
    """Return the shape from headers and config.json; sharded weights are added up.

    If there is GGUF metadata, config.json is ignored. ONNX graphs and pickles, whose headers state
    no types, count with their whole size, under ``ONNX`` and ``PICKLE``.

    Raises:
        KitError: ``KIT_INVALID``, parts of a model are missing.
        SourceError: ``WEIGHTS_DAMAGED`` or ``WEIGHTS_FORMAT``.
    """
    tensors = [
        read_safetensors(file.path, file.ranges) for file in files if file.format == "safetensors"
    ]
    graphs = {
        file.path: read_gguf(file.path, file.ranges) for file in files if file.format == "gguf"
    }
    require_all_parts(graphs)
    require_all_shards({file.path: file.ranges for file in files})
    headers = list(graphs.values())
    metadata, config = _metadata_of(headers), _config_of(files)
    return ModelShape(
        architecture=name_of(metadata["general.architecture"])
        if metadata
        else architecture_of_config(config),
        parameters=sum(part.parameters for part in tensors)
        + sum(header.parameters for header in headers),
        max_positions=positions_of_gguf(metadata) if metadata else positions_of_config(config),
        described=_described(files, tensors, headers, config),
    )


def _described(
    files: Sequence[ModelFile],
    tensors: Sequence[Tensors],
    headers: Sequence[GgufHeader],
    config: Mapping[str, Any],
) -> Shape | None:
    """Return the description for the estimator; None if the files contain too little for it."""
    packed = _added_up(size for header in headers for size in header.bytes_by_dtype.items())
    plain = _added_up(size for part in tensors for size in part.by_name.values())
    whole = [
        (file.format.partition("-")[0].upper(), file.ranges.size_bytes)
        for file in files
        if file.format in ("onnx", "onnx-data", "pickle")
    ]
    metadata = _metadata_of(headers)
    try:
        if metadata:
            parameters = sum(header.parameters for header in headers)
            shape = shape_of_gguf(metadata, packed, parameters)
        else:
            by_name = {name: size for part in tensors for name, size in part.by_name.items()}
            shape = shape_of_config(config, by_name)
    except PreflightError:
        return None
    # Names may occur twice, in parts of a model in separate folders; then both sizes count.
    return replace(shape, bytes_by_dtype=_added_up([*packed.items(), *plain.items(), *whole]))


def _added_up(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for dtype, size_bytes in sizes:
        totals[dtype] = totals.get(dtype, 0) + size_bytes
    return dict(sorted(totals.items()))


def _metadata_of(headers: Sequence[GgufHeader]) -> Mapping[str, Any] | None:
    """Return the metadata of the first file that names an architecture; other shards may not."""
    every = (header.metadata for header in headers)
    return next((item for item in every if isinstance(item.get("general.architecture"), str)), None)


def _config_of(files: Sequence[ModelFile]) -> dict[str, Any]:
    """Read the config.json nearest to the top; return an empty one if it is missing."""
    configs = [file for file in files if PurePosixPath(file.path).name == "config.json"]
    if not configs:
        return {}
    file = min(configs, key=lambda item: (item.path.count("/"), item.path))
    config = read_config(file.path, file.ranges)
    return config if isinstance(config, dict) else {}


def read_config(name: str, ranges: RangeReader) -> Any:
    """Return the content of a config.json, as Python parses it.

    Raises:
        SourceError: ``WEIGHTS_DAMAGED``, the file is not JSON, or far too large.
    """
    try:
        return parse_json(_whole(ranges), as_python=True)
    except UntrustedError as error:
        raise failure("WEIGHTS_DAMAGED", f"{name} cannot be read: {error}", where=name) from error


def _whole(ranges: RangeReader) -> bytes:
    if ranges.size_bytes > _MAX_CONFIG_BYTES:
        raise UntrustedError(f"it is larger than {_MAX_CONFIG_BYTES} bytes")
    return ranges.read(0, _MAX_CONFIG_BYTES)
