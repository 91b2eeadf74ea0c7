"""The part of a proposed kit that its engine writes: settings, base, hardware, files of its own.

Refuses an engine that proposes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.engines.proposal import Comments, Proposal, Served
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


def proposing_engines() -> dict[str, Proposal]:
    """Return what engines propose, by their names."""
    found = {name: recipe_of(name).proposal for name in engine_names()}
    return {name: proposal for name, proposal in found.items() if proposal is not None}


def proposal_of(engine: str) -> Proposal:
    """Return what an engine proposes.

    Raises:
        KitError: nothing (``USAGE``).
    """
    engines = proposing_engines()
    if engine not in engines:
        hint = f"choose one of {', '.join(engines)}"
        raise failure("USAGE", f"{engine} proposes no kit for a published model", hint=hint)
    return engines[engine]


def engine_part(engine: str, served: Served) -> EnginePart:
    """Return an engine's part of the kit for a model.

    Raises:
        KitError: it proposes nothing (``USAGE``).
    """
    proposal = proposal_of(engine)
    form, comments = proposal.part(served)
    template = recipe_of(engine).new_kit
    files = {
        name: template.joinpath(name).read_text("utf-8")
        if template.joinpath(name).is_file()
        else template.joinpath(name + _SUFFIX).read_text("utf-8")
        for name in proposal.kit_files
    }
    left_out = (LeftOut(*proposal.left_out),) if proposal.left_out else ()
    return EnginePart(form, comments, files, left_out)
