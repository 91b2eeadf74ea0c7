"""Loads a model from pinned safetensors, without downloads, guesses or random initial values.

Raises errors for weights that lack a tensor of the model, for code that the kit does not pin or
allow, and for a missing GPU. Imports the engine, so only modules that are imported in ``load`` may
import this module.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging

from mealkit.engines.transformers.config import ModelConfig
from mealkit.engines.transformers.torch_problems import engine_problems
from mealkit.engines.transformers.weight_files import require_model_files, require_own_code
from mealkit.errors import MealkitError, failure
from mealkit.worker.model_files import read_json

_SHOWN_TENSORS = 5


def load_model(auto_class: str, config: ModelConfig, spare: Sequence[str] = ()) -> Any:
    """Load a model for ``auto_class`` (``AutoModel``, ...), ready to compute.

    ``spare`` are the prefixes of tensors that the task does not need.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, ``ENGINE_REMOTE_CODE``, ``ENGINE_OUT_OF_MEMORY`` or
            ``ENGINE_START``.
        PreflightError: ``HW_NO_GPU``.
    """
    _set_engine(config)
    require_model_files(config.root)
    trusted = _trusts_code(auto_class, config)
    where = str(config.root)
    with engine_problems("ENGINE_START", "while it loaded the model", where):
        model, found = getattr(transformers, auto_class).from_pretrained(
            str(config.root),
            dtype=getattr(torch, config.dtype),
            attn_implementation=config.attn_implementation,
            trust_remote_code=trusted,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    _require_tensors(found, spare, where)
    with engine_problems("ENGINE_START", f"while it moved the model to {config.device}", where):
        return model.to(config.device).eval()


def _set_engine(config: ModelConfig) -> None:
    """Configure how torch computes, for the whole process."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if config.device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda or "no CUDA at all"
        message = f"the kit computes on a GPU, and torch finds none (it was built for {built})"
        raise failure("HW_NO_GPU", message, where="settings.device")
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(mode=True)
    # It would fill every new tensor before it is written; none is read before that.
    torch.utils.deterministic.fill_uninitialized_memory = False
    # float32 must be exact: TensorFloat-32 uses 10 of its 23 bits.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def _trusts_code(auto_class: str, config: ModelConfig) -> bool:
    """Return whether the model's own code is run: never if the engine supports the model itself."""
    stated = read_json(config.root / "config.json")
    named = stated.get("auto_map")
    code: Mapping[str, Any] = named if isinstance(named, dict) else {}
    references = [str(code[name]) for name in ("AutoConfig", auto_class) if name in code]
    if not references:
        return False
    if config.trust_remote_code:
        require_own_code(config.root, references)
        return True
    kind = stated.get("model_type")
    if not _knows(kind, auto_class):
        raise _untrusted(references, kind)
    return False


def _knows(model_type: Any, auto_class: str) -> bool:
    """Return whether the engine has its own code for a type of model."""
    models: Mapping[Any, Any] = getattr(modeling_auto, auto_class)._model_mapping  # noqa: SLF001 - has no public form
    return model_type in CONFIG_MAPPING and CONFIG_MAPPING[model_type] in models


def _require_tensors(found: Mapping[str, Any], spare: Sequence[str], where: str) -> None:
    """Raise an error for weights that transformers would complete with random numbers."""
    missing = sorted(
        name for name in found.get("missing_keys", ()) if not name.startswith(tuple(spare))
    )
    wrong = sorted(str(item) for item in found.get("mismatched_keys", ()))
    for names, what in ((missing, "lack"), (wrong, "have the wrong shape for")):
        if names:
            shown = ", ".join(names[:_SHOWN_TENSORS])
            more = f" and {len(names) - _SHOWN_TENSORS} more" if len(names) > _SHOWN_TENSORS else ""
            message = f"the weights {what} tensors that the model needs: {shown}{more}"
            hint = "name weights that were trained for the kit's task in model.weights"
            raise failure("ENGINE_START", message, where=where, hint=hint)


def _untrusted(references: Sequence[str], model_type: Any) -> MealkitError:
    message = (
        f"config.json requires the model's own code to be run ({', '.join(references)}), and "
        f"the engine has no code for the type {model_type!r}"
    )
    hint = "read that code, name its files in model.weights, and set trust_remote_code: true"
    return failure("ENGINE_REMOTE_CODE", message, where="settings.trust_remote_code", hint=hint)
