"""The files that a model consists of, below /models: whether all of them are there.

Refuses: weights or a config that are not there, adapters, and code from anywhere else. Standard
library only.
"""

from collections.abc import Sequence
from pathlib import Path

from mealkit.errors import failure
from mealkit.worker.model_files import object_of, read_json, require_file

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def require_model_files(root: Path) -> None:
    """Refuse a folder that lacks a part of the model, or has more than a model.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, naming the file; ``ENGINE_START``, for an adapter.
    """
    require_file(root / "config.json")
    if (root / _INDEX).is_file():
        for name in sorted(set(object_of(read_json(root / _INDEX), "weight_map").values())):
            require_file(root / name)
    else:
        require_file(root / _WEIGHTS)
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
        require_file(root / f"{reference.rpartition('.')[0]}.py")
