"""The part of a proposed kit that its engine writes: settings, base, hardware, files of its own.

Refuses an engine that serves no models of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.engines.published_models import Comments, PublishedModels, Served
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.errors import failure
from mealkit.importing.proposal import LeftOut

_SUFFIX = ".jinja"


@dataclass(frozen=True, slots=True)
class EnginePart:
    """What an engine adds to the kit of a published model."""

    form: dict[str, Any]
    """``runtime``, ``hardware`` and ``serving``."""
    comments: Comments
    files: Mapping[str, str]
    """Files of the kit's folder."""
    left_out: tuple[LeftOut, ...]
    """What the kit needs besides."""


def engines_for_published() -> dict[str, PublishedModels]:
    """Return how engines serve models that others published, by their names."""
    found = {name: recipe_of(name).published_models for name in engine_names()}
    return {name: how for name, how in found.items() if how is not None}


def how_served(engine: str) -> PublishedModels:
    """Return how an engine serves models that others published.

    Raises:
        KitError: it does not (``USAGE``).
    """
    engines = engines_for_published()
    if engine not in engines:
        hint = f"choose one of {', '.join(engines)}"
        raise failure("USAGE", f"{engine} makes no kit of a published model", hint=hint)
    return engines[engine]


def engine_part(engine: str, served: Served) -> EnginePart:
    """Return an engine's part of the kit for a model.

    Raises:
        KitError: it serves none (``USAGE``).
    """
    how = how_served(engine)
    form, comments = how.part(served)
    template = recipe_of(engine).new_kit
    files = {
        name: template.joinpath(name).read_text("utf-8")
        if template.joinpath(name).is_file()
        else template.joinpath(name + _SUFFIX).read_text("utf-8")
        for name in how.kit_files
    }
    left_out = (LeftOut(*how.left_out),) if how.left_out else ()
    return EnginePart(form, comments, files, left_out)
