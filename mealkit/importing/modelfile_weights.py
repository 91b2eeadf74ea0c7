"""Chooses the model among the GGUFs that a Modelfile names: all its parts, and no projector.

No I/O. Raises KitError for parts that are missing, and for several models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.errors import failure
from mealkit.importing.gguf_names import PROJECTOR_WORDS, is_projector, other_kind, part_of_name
from mealkit.importing.proposal import LeftOut


@dataclass(frozen=True, slots=True)
class GgufModel:
    """A model in one GGUF, or in several parts in one folder."""

    folder: Path
    files: Sequence[str]
    """The names of its files, the first part first."""
    metadata: Mapping[str, Any]
    """The metadata of the first file."""
    left_out: Sequence[LeftOut] = ()
    """The named files that are not part of the model."""


def with_all_parts(paths: Sequence[Path]) -> list[Path]:
    """Return the files with all other parts of their models: often FROM names only the first."""
    whole: list[Path] = []
    for path in paths:
        part = part_of_name(path.name)
        whole += [path] if part is None else [path.with_name(name) for name in part.names]
    return list(dict.fromkeys(whole))


def chosen_model(headers: Sequence[tuple[Path, Mapping[str, Any]]], where: str) -> GgufModel:
    """Return the model of a Modelfile, from its files and their metadata.

    Raises:
        KitError: there is not exactly one model, or not all of its parts (``KIT_INVALID``).
    """
    left_out = [
        LeftOut(f"FROM {path.name}", *PROJECTOR_WORDS)
        for path, metadata in headers
        if is_projector(metadata)
    ]
    models = [item for item in headers if not is_projector(item[1])]
    if not models:
        message = "FROM names only files that read pictures or sound for another model"
        raise failure("KIT_INVALID", message, where=where, hint="name the model itself in FROM")
    first, metadata = models[0]
    _require_model(first, metadata, where)
    part = part_of_name(first.name)
    expected = [first.with_name(name) for name in part.names] if part else [first]
    count = metadata.get("split.count")
    if type(count) is int and count > len(expected):
        message = f"{first.name} is one of {count} parts, and its name does not lead to the others"
        hint = "name all parts as llama.cpp does: NAME-00001-of-00003.gguf, ..."
        raise failure("KIT_INVALID", message, where=where, hint=hint)
    others = [path for path, _ in models if path not in expected]
    if others:
        message = f"FROM names several models: {first.name} and {others[0].name}"
        hint = "write one Modelfile for each; a kit has one model"
        raise failure("KIT_INVALID", message, where=where, hint=hint)
    return GgufModel(first.parent, [path.name for path in expected], metadata, left_out)


def _require_model(path: Path, metadata: Mapping[str, Any], where: str) -> None:
    if (kind := other_kind(metadata)) is not None:
        message = f"FROM names {path.name}, which is {kind}"
        hint = "write FROM the GGUF of a whole model of text; merge an adapter into its model first"
        raise failure("KIT_INVALID", message, where=where, hint=hint)
