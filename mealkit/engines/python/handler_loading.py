"""Imports the handler's class, from the kit's own code only, and creates it.

Raises EngineError for a missing file, for code that cannot be imported, and for a class without
``predict``.
"""

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mealkit.engines.python.config import HandlerConfig
from mealkit.engines.python.faults import start_failure
from mealkit.errors import failure


def import_handler(config: HandlerConfig) -> type:
    """Import the handler's file, with the code's folder first on the path.

    Raises:
        EngineError: ``ENGINE_START``, with the file and line.
    """
    root, file = config.code_root, config.code_root / config.file
    if not file.is_file():
        message = f"the handler's file {config.file} is not among the kit's code"
        raise failure("ENGINE_START", message, where=str(file), hint="add it to runtime.code")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    name = ".".join(Path(config.file).with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # noqa: S101  a file that ends in .py has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise start_failure(error, root, f"the import of {config.file}") from error
    found = getattr(module, config.class_name, None)
    if not isinstance(found, type):
        message = f"{config.file} has no class {config.class_name}"
        raise failure("ENGINE_START", message, where=config.file)
    if not callable(getattr(found, "predict", None)):
        message = f"{config.class_name} has no method predict"
        raise failure("ENGINE_START", message, where=config.file)
    return found


def load_arguments(load: Any, config: HandlerConfig) -> Mapping[str, Any]:
    """Return the arguments for the handler's ``load``, by the names of its parameters.

    Raises:
        EngineError: ``ENGINE_START``, it has another parameter.
    """
    known = {
        "models": config.model_root,
        "parameters": dict(config.parameters),
        "seed": config.seed,
    }
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(load).parameters.items():
        if name in known:
            given[name] = known[name]
        elif parameter.default is parameter.empty:
            message = f"load has a parameter {name!r}, expected {', '.join(known)}"
            raise failure("ENGINE_START", message, where=config.file)
    return given
