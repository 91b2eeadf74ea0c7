"""Converts another tool's files into a new kit: picks the importer and reads its input.

Raises KitError for formats without an importer. Reports everything that cannot be carried over.
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

# Turns the argument of the command line (a folder, a repository, a file) into a proposal. If the
# engine is None, the importer chooses one.
Importer = Callable[[str, str | None, Home], Proposal]


@dataclass(frozen=True, slots=True)
class ImportedKit:
    """A kit that was converted."""

    path: Path
    """The path of its kit.yaml."""
    engine: str
    left_out: tuple[LeftOut, ...]
    """The parts that were not carried over."""


def import_kit(
    folder: Path, kind: str, source: str, *, engine: str | None, home: Home
) -> ImportedKit:
    """Convert ``source``, which has the format ``kind``, and write the kit.

    Raises:
        KitError: the format is unknown (``USAGE``), or the source cannot be converted.
        SourceError, StoreError: the source cannot be read.
    """
    if kind not in IMPORTERS:
        hint = f"choose one of {', '.join(IMPORTERS)}"
        raise failure("USAGE", f"no importer reads {kind!r}", hint=hint)
    proposal = IMPORTERS[kind](source, engine, home)
    if engine is not None and engine != proposal.engine:
        message = f"a kit from {kind} runs with the engine {proposal.engine}, not {engine}"
        raise failure("USAGE", message, hint="leave --engine out")
    path = write_proposed_kit(folder, proposal, full_schema())
    return ImportedKit(path, proposal.engine, tuple(proposal.left_out))


def from_cog(source: str, _engine: str | None, _home: Home) -> Proposal:
    """Propose a kit from a Cog project's folder."""
    from mealkit.importing.cog_files import CogProject
    from mealkit.importing.from_cog import cog_proposal

    if "://" in source:
        hint = f"clone it, and name its folder: git clone {source}"
        raise failure("USAGE", f"{source} is an address, not a folder", hint=hint)
    content = read_folder(Path(source))
    project = CogProject(
        str(content.folder),
        content.texts,
        content.others,
        content.utf16,
        content.skipped,
        content.ignore,
    )
    return cog_proposal(project)


# To add a format, add a function here, and a module in mealkit/importing that turns texts into a
# Proposal.
IMPORTERS: Mapping[str, Importer] = {
    "cog": from_cog,
    "hub": from_hub,
    "modelfile": from_modelfile,
}
