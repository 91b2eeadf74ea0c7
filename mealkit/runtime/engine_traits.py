"""The traits of the engine that a kit runs, found by the name that the lock gives it."""

from importlib import import_module

from mealkit.recipe.traits import EngineTraits, engine_package


def traits_of(engine: str) -> EngineTraits:
    """Return an engine's traits: those in its folder, if it comes with mealkit.

    An image holds the folder of its own engine. An engine from a kit's wheel cannot say anything
    about itself here: the gateway imports nothing that kits bring.
    """
    module = f"{engine_package(engine)}.traits"
    try:
        traits: EngineTraits = import_module(module).TRAITS
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return EngineTraits()
    return traits
