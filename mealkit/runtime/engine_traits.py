"""Finds the traits of a kit's engine by the engine's name in the lock."""

from importlib import import_module

from mealkit.recipe.traits import EngineTraits, engine_package


def traits_of(engine: str) -> EngineTraits:
    """Return an engine's traits: those in its folder, if it is one of mealkit's engines.

    An image contains the folder of its own engine. An engine from a kit's wheel has the default
    traits, because the gateway does not import code of kits.
    """
    module = f"{engine_package(engine)}.traits"
    try:
        traits: EngineTraits = import_module(module).TRAITS
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return EngineTraits()
    return traits
