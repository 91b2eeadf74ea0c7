"""What the JSON files beside a model's weights say of it, in the words of Hugging Face's formats.

Refuses files that are not JSON objects. Standard library only.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError, failure

# What the families of models call the number of their positions.
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
_UNBOUNDED = 2**31


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


def require_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object that must be there.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, it is not; ``ENGINE_START``, it is something else.
    """
    require_file(path)
    return read_json(path)


def require_file(path: Path) -> None:
    """Refuse a model without this file.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, naming the file.
    """
    if not path.is_file():
        raise failure("WEIGHTS_MISSING", f"{path.name} is missing", where=str(path))


def positions_of(root: Path) -> int:
    """Return how many tokens config.json allows a sequence; a very large number if it says nothing.

    Raises:
        EngineError: ``ENGINE_START``, it cannot be read.
    """
    stated = read_json(root / "config.json")
    texts = {**stated, **object_of(stated, "text_config")}
    found = [texts[name] for name in _POSITIONS if isinstance(texts.get(name), int)]
    return found[0] if found else _UNBOUNDED


def object_of(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object in a field; an empty one if there is none, or something else."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _unreadable(path: Path, why: str) -> MealkitError:
    return failure("ENGINE_START", f"{path.name} cannot be read: {why}", where=str(path))
