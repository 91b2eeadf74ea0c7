"""The engines mealkit has, by name. Others come in by the entry-point group ``mealkit.engines``."""

from importlib import import_module
from importlib.metadata import entry_points

from mealkit.engines.engine import Recipe
from mealkit.errors import failure

_RECIPES = {
    "llama-cpp": "mealkit.engines.llama_cpp.engine",
    "onnx": "mealkit.engines.onnx.engine",
    "python": "mealkit.engines.python.engine",
    "transformers": "mealkit.engines.transformers.engine",
    "vllm": "mealkit.engines.vllm.engine",
}


def engine_names() -> list[str]:
    """Return the names of all engines, sorted."""
    return sorted({*_RECIPES, *(point.name for point in entry_points(group="mealkit.engines"))})


def recipe_of(name: str) -> Recipe:
    """Return an engine's recipe.

    Raises:
        KitError: there is no engine of that name (``KIT_INVALID``).
    """
    if name in _RECIPES:
        recipe: Recipe = import_module(_RECIPES[name]).RECIPE
        return recipe
    for point in entry_points(group="mealkit.engines", name=name):
        found: Recipe = point.load()
        return found
    raise failure(
        "KIT_INVALID",
        f"there is no engine {name!r}",
        where="runtime.engine",
        hint=f"choose one of {', '.join(engine_names())}",
    )
