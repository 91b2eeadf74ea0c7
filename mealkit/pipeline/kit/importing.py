"""Begins a kit from what another tool reads: picks the importer, and reads what it is handed.

Refuses formats that no importer reads. What cannot be carried over is told, not dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mealkit.engines.whole_schema import full_schema
from mealkit.errors import failure
from mealkit.importing.proposal import LeftOut, Proposal
from mealkit.importing.scaffold import write_proposed_kit
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.importing_models import from_hub, from_modelfile
from mealkit.pipeline.kit.project_folder import read_folder

# From what the command line says (a folder, a repository, a file) to a proposal. The engine is the
# one that was asked for, None: the importer chooses.
Importer = Callable[[str, str | None, Home], Proposal]


@dataclass(frozen=True, slots=True)
class ImportedKit:
    """A kit that was begun from something else."""

    path: Path
    """Its kit.yaml."""
    engine: str
    left_out: tuple[LeftOut, ...]
    """What was not carried over."""


def import_kit(
    folder: Path, kind: str, source: str, *, engine: str | None, home: Home
) -> ImportedKit:
    """Write a kit that is proposed from ``source``, which is a ``kind`` of thing.

    Raises:
        KitError: there is no such kind (``USAGE``), or the source cannot become a kit.
        SourceError, StoreError: the source cannot be read.
    """
    if kind not in IMPORTERS:
        hint = f"choose one of {', '.join(IMPORTERS)}"
        raise failure("USAGE", f"there is no kit to be made from {kind!r}", hint=hint)
    proposal = IMPORTERS[kind](source, engine, home)
    if engine is not None and engine != proposal.engine:
        message = f"a kit from {kind} runs with the engine {proposal.engine}, not {engine}"
        raise failure("USAGE", message, hint="leave --engine out")
    path = write_proposed_kit(folder, proposal, full_schema())
    return ImportedKit(path, proposal.engine, tuple(proposal.left_out))


def from_cog(source: str, _engine: str | None, _home: Home) -> Proposal:
    """Propose a kit from a Cog project's folder."""
    from mealkit.importing.from_cog import cog_proposal

    content = read_folder(Path(source))
    return cog_proposal(content.texts, content.others, str(content.folder))


# Another format: one function here, and a module in mealkit/importing that turns texts into a
# Proposal.
IMPORTERS: Mapping[str, Importer] = {
    "cog": from_cog,
    "hub": from_hub,
    "modelfile": from_modelfile,
}
