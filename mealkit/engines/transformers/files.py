"""The files that a model consists of, below /models: which there are, and what they say.

Refuses: weights or a config that are not there, adapters, and code from anywhere else. Standard
library only.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError, failure

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
# What the families of models call the number of their positions.
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
_UNBOUNDED = 2**31


def require_model_files(root: Path) -> None:
    """Refuse a folder that lacks a part of the model, or has more than a model.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, naming the file; ``ENGINE_START``, for an adapter.
    """
    _require(root / "config.json")
    if (root / _INDEX).is_file():
        for name in sorted(set(_object(read_json(root / _INDEX), "weight_map").values())):
            _require(root / name)
    else:
        _require(root / _WEIGHTS)
    adapter = root / "adapter_config.json"
    if adapter.exists():
        message = "the weights are an adapter, which this engine does not apply"
        hint = "merge the adapter into its model, and name the merged weights in model.weights"
        raise failure("ENGINE_START", message, where=str(adapter), hint=hint)


def require_own_code(root: Path, references: Sequence[str]) -> None:
    """Refuse references to code (``file.Class``) whose file is not among the model's files.

    Raises:
        EngineError: ``ENGINE_REMOTE_CODE``, the code is in another repository;
            ``WEIGHTS_MISSING``, its file is not there.
    """
    for reference in references:
        repository, mark, _ = reference.partition("--")
        if mark:
            message = f"config.json takes the model's code from another repository, {repository}"
            hint = "name its .py files in model.weights, and a config.json that names them alone"
            raise failure("ENGINE_REMOTE_CODE", message, where=reference, hint=hint)
        _require(root / f"{reference.rpartition('.')[0]}.py")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; an absent file is an empty one.

    Raises:
        EngineError: ``ENGINE_START``, it is something else.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(found, dict):
        raise _unreadable(path, "it is not a JSON object")
    return found


def positions_of(root: Path) -> int:
    """Return how many tokens config.json allows a sequence; a very large number if it says nothing.

    Raises:
        EngineError: ``ENGINE_START``, it cannot be read.
    """
    stated = read_json(root / "config.json")
    texts = {**stated, **_object(stated, "text_config")}
    found = [texts[name] for name in _POSITIONS if isinstance(texts.get(name), int)]
    return found[0] if found else _UNBOUNDED


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _require(path: Path) -> None:
    if not path.is_file():
        raise failure("WEIGHTS_MISSING", f"{path.name} is missing", where=str(path))


def _unreadable(path: Path, why: str) -> MealkitError:
    return failure("ENGINE_START", f"{path.name} cannot be read: {why}", where=str(path))
