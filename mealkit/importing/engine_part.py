"""The engine's part of a proposed kit: settings, base, hardware, and the engine's own files.

Raises KitError for an engine that cannot serve published models.
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
    """The engine's part of a published model's kit."""

    form: dict[str, Any]
    """``runtime``, ``hardware`` and ``serving``."""
    comments: Comments
    files: Mapping[str, str]
    """The files for the kit's folder."""
    left_out: tuple[LeftOut, ...]
    """What the author still has to add."""


def engines_for_published() -> dict[str, PublishedModels]:
    """Return, by engine, how it serves published models."""
    found = {name: recipe_of(name).published_models for name in engine_names()}
    return {name: how for name, how in found.items() if how is not None}


def how_served(engine: str) -> PublishedModels:
    """Return how an engine serves published models.

    Raises:
        KitError: the engine cannot serve them (``USAGE``).
    """
    engines = engines_for_published()
    if engine not in engines:
        hint = f"choose one of {', '.join(engines)}"
        raise failure("USAGE", f"{engine} cannot serve a published model", hint=hint)
    return engines[engine]


def engine_part(engine: str, served: Served) -> EnginePart:
    """Return an engine's part of the kit for a model.

    Raises:
        KitError: the engine cannot serve published models (``USAGE``).
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
