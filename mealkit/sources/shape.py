"""What a model is like, from the headers of its weights and its config.json.

Refuses a config.json that is not JSON; what it leaves out stays unknown.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mealkit.errors import failure
from mealkit.lock.model import ModelShape
from mealkit.sources.formats import Format
from mealkit.sources.gguf import ArrayLength, GgufHeader, read_gguf
from mealkit.sources.ranges import RangeReader
from mealkit.sources.safetensors import read_safetensors

_MAX_CONFIG_BYTES = 16 * 1024 * 1024
# Names that families of models give the same number, in the order in which they are looked for.
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
_INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "hidden_dim")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
_HEAD_DIMENSION = ("head_dim", "d_kv")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the model whose header can be read."""

    path: str
    format: Format
    ranges: RangeReader


def shape_of(files: Sequence[ModelFile]) -> ModelShape:
    """Return what headers and config.json say; sharded weights are added up.

    ``bytes_by_dtype`` counts ONNX graphs and pickles, whose headers tell no types, whole, under
    ``ONNX`` and ``PICKLE``.

    Raises:
        SourceError: ``WEIGHTS_DAMAGED`` or ``WEIGHTS_FORMAT``.
    """
    parameters = 0
    sizes: dict[str, int] = {}
    fields: dict[str, Any] = {}
    for file in files:
        found: Mapping[str, int] = {}
        if file.format == "safetensors":
            totals = read_safetensors(file.path, file.ranges)
            parameters, found = parameters + totals.parameters, totals.bytes_by_dtype
        elif file.format == "gguf":
            header = read_gguf(file.path, file.ranges)
            parameters, found = parameters + header.parameters, header.bytes_by_dtype
            fields = fields or _gguf_fields(header)
        elif file.format in ("onnx", "pickle"):
            found = {file.format.upper(): file.ranges.size_bytes}
        for dtype, size_bytes in found.items():
            sizes[dtype] = sizes.get(dtype, 0) + size_bytes
    config = _config_of(files)
    if config is not None:
        fields = {**_config_fields(config), **fields}
    return ModelShape(parameters=parameters, bytes_by_dtype=dict(sorted(sizes.items())), **fields)


def _config_of(files: Sequence[ModelFile]) -> dict[str, Any] | None:
    """Read the config.json that lies nearest to the top."""
    configs = [file for file in files if PurePosixPath(file.path).name == "config.json"]
    if not configs:
        return None
    file = min(configs, key=lambda item: (item.path.count("/"), item.path))
    try:
        config = json.loads(file.ranges.read(0, _MAX_CONFIG_BYTES))
    except (ValueError, RecursionError) as error:
        raise failure("WEIGHTS_DAMAGED", f"{file.path} is not JSON", where=file.path) from error
    return config if isinstance(config, dict) else None


def _config_fields(config: dict[str, Any]) -> dict[str, Any]:
    """Read the fields of a transformers configuration; the text part of one with several."""
    text = {**config, **config["text_config"]} if _is_map(config, "text_config") else config
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    name = first or config.get("model_type")
    heads, hidden = _number(text, _HEADS), _number(text, _HIDDEN)
    return _known(
        architecture=name if isinstance(name, str) else None,
        layers=_number(text, _LAYERS),
        hidden_size=hidden,
        intermediate_size=_number(text, _INTERMEDIATE),
        heads=heads,
        kv_heads=_number(text, _KV_HEADS) or (1 if text.get("multi_query") is True else heads),
        head_dimension=_number(text, _HEAD_DIMENSION) or _quotient(hidden, heads),
        vocabulary=_number(text, ("vocab_size",)),
        max_positions=_number(text, _POSITIONS),
    )


def _gguf_fields(header: GgufHeader) -> dict[str, Any]:
    """Read the fields of GGUF metadata, whose keys begin with the architecture's name."""
    metadata = header.metadata
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        return {}
    own: dict[str, Any] = {
        key.removeprefix(f"{name}."): _greatest(value)
        for key, value in metadata.items()
        if key.startswith(f"{name}.")
    }
    tokens = metadata.get("tokenizer.ggml.tokens")
    heads, hidden = _number(own, ("attention.head_count",)), _number(own, ("embedding_length",))
    return _known(
        architecture=name,
        layers=_number(own, ("block_count",)),
        hidden_size=hidden,
        intermediate_size=_number(own, ("feed_forward_length",)),
        heads=heads,
        kv_heads=_number(own, ("attention.head_count_kv",)) or heads,
        head_dimension=_number(own, ("attention.key_length",)) or _quotient(hidden, heads),
        vocabulary=_number(own, ("vocab_size",))
        or (tokens.length if isinstance(tokens, ArrayLength) else None),
        max_positions=_number(own, ("context_length",)),
    )


def _greatest(value: object) -> object:
    """Of numbers that differ by layer, the greatest: an estimate must not be too small."""
    return max(value) if isinstance(value, tuple) and value else value


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_map(config: dict[str, Any], name: str) -> bool:
    return isinstance(config.get(name), dict)


def _number(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        found = config.get(name)
        if type(found) is int and found > 0:
            return found
    return None


def _quotient(whole: int | None, parts: int | None) -> int | None:
    return whole // parts if whole and parts else None
