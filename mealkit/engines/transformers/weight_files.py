"""Checks that all of a model's files exist below /models.

Raises EngineError for missing weights or configs, for adapters, and for code from other places.
Imports only the standard library.
"""

from collections.abc import Sequence
from pathlib import Path

from mealkit.errors import failure
from mealkit.worker.model_files import object_of, read_json, require_file

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def require_model_files(root: Path) -> None:
    """Check that a folder has all parts of the model, and only one model.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, with the file; ``ENGINE_START``, for an adapter.
    """
    require_file(root / "config.json")
    if (root / _INDEX).is_file():
        for name in sorted(set(object_of(read_json(root / _INDEX), "weight_map").values())):
            require_file(root / name)
    else:
        require_file(root / _WEIGHTS)
    adapter = root / "adapter_config.json"
    if adapter.exists():
        message = "the weights are an adapter, which this engine does not support"
        hint = "merge the adapter into its model, and name the merged weights in model.weights"
        raise failure("ENGINE_START", message, where=str(adapter), hint=hint)


def require_own_code(root: Path, references: Sequence[str]) -> None:
    """Check that code references (``file.Class``) point to files among the model's files.

    Raises:
        EngineError: ``ENGINE_REMOTE_CODE``, the code is in another repository;
            ``WEIGHTS_MISSING``, its file does not exist.
    """
    for reference in references:
        repository, mark, _ = reference.partition("--")
        if mark:
            message = f"config.json refers to the model's code in another repository, {repository}"
            hint = "name its .py files in model.weights, and a config.json that refers only to them"
            raise failure("ENGINE_REMOTE_CODE", message, where=reference, hint=hint)
        require_file(root / f"{reference.rpartition('.')[0]}.py")
