"""The installed engines, by name. The entry-point group ``mealkit.engines`` adds further ones."""

from importlib import import_module
from importlib.metadata import entry_points

from mealkit.engines.engine import Recipe
from mealkit.errors import failure
from mealkit.recipe.kit import Task
from mealkit.recipe.traits import EngineTraits, engine_package

_OWN = ("llama-cpp", "onnx", "python", "transformers", "vllm")
"""mealkit's own engines. Each has a folder here: ``llama_cpp`` for llama-cpp."""

_NEW_KIT_ENGINES = ("python", "onnx")
"""The engines of new kits if none is named: what they need is downloaded, nothing is compiled."""


def engine_names() -> list[str]:
    """Return the names of all engines, sorted."""
    return sorted({*_OWN, *(point.name for point in entry_points(group="mealkit.engines"))})


def recipe_of(name: str) -> Recipe:
    """Return an engine's recipe.

    Raises:
        KitError: the engine does not exist (``KIT_INVALID``).
    """
    if name in _OWN:
        recipe: Recipe = import_module(f"{engine_package(name)}.engine").RECIPE
        return recipe
    for point in entry_points(group="mealkit.engines", name=name):
        found: Recipe = point.load()
        return found
    raise failure(
        "KIT_INVALID",
        f"the engine {name!r} does not exist",
        where="runtime.engine",
        hint=f"choose one of {', '.join(engine_names())}",
    )


def traits_of(name: str | None) -> EngineTraits:
    """Return an engine's traits; the defaults for an unknown engine, and for None."""
    if name is None or (name not in _OWN and name not in engine_names()):
        return EngineTraits()
    return recipe_of(name).traits


def takes_any_data(name: object) -> bool:
    """Return whether an engine takes files of no known format; False for an unknown engine."""
    return isinstance(name, str) and name in engine_names() and "data" in recipe_of(name).formats


def usual_engine(weights: str, *, generates: bool) -> str:
    """Return the engine that usually serves a model, by the format of its weights.

    Raises:
        KitError: no engine does (``KIT_INVALID``).
    """
    for name in engine_names():
        if recipe_of(name).is_usual_for(weights, generates):
            return name
    raise failure("KIT_INVALID", f"no engine here supports {weights} weights")


def code_engine() -> str:
    """Return the engine that runs a kit's own code."""
    return next(name for name in _OWN if Task.PREDICTION in recipe_of(name).hyperparameters)


def new_kit_engine(task: Task | None) -> str:
    """Return the engine of a new kit for a task, or for any task.

    Raises:
        KitError: no engine has the task (``KIT_INVALID``).
    """
    for name in (*_NEW_KIT_ENGINES, *engine_names()):
        if task is None or task in recipe_of(name).hyperparameters:
            return name
    raise failure("KIT_INVALID", f"no engine here has the task {task}")
