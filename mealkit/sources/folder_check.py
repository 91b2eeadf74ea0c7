"""Checks the files of folder sources without hashing them: that they exist, and their formats.

Reads the document of a kit that may be wrong elsewhere, so that all problems are reported together.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mealkit.errors import MealkitError, Problem
from mealkit.kit.document import Document
from mealkit.recipe.weight_places import FolderWeights
from mealkit.sources.fallback import path_in_image
from mealkit.sources.formats import classify
from mealkit.sources.kit_folder import FolderReader
from mealkit.sources.ranges import RangeReader
from mealkit.sources.source import Supplies
from mealkit.sources.weights import graph_data_of


def folder_entries(document: Document) -> dict[int, FolderWeights]:
    """Return the valid folder sources of a kit by their place in ``model.weights``."""
    found: dict[int, FolderWeights] = {}
    for index, entry in enumerate(_entries(document)):
        if isinstance(entry, dict) and entry.get("source") == "folder":
            try:
                found[index] = FolderWeights.model_validate_json(json.dumps(entry))
            except ValidationError:
                continue  # the kit's own models reject it
    return found


def folder_problems(document: Document, supplies: Supplies) -> list[Problem]:
    """Return a problem for every file of a folder source that is missing, or cannot be locked.

    A missing file is none if the entry has a mirror.
    """
    entries = folder_entries(document)
    lifted = _part(document.data, "allow_secrets")
    names = frozenset(map(str, lifted)) if isinstance(lifted, list) else frozenset()
    supplies = replace(supplies, allow_secrets=names)
    problems: list[Problem] = []
    files: dict[str, tuple[int, RangeReader]] = {}
    for index, entry in entries.items():
        found, missing = _present(entry, document, supplies)
        files |= {path_in_image(entry, name): (index, ranges) for name, ranges in found.items()}
        problems += [_on_line(item, document, index) for item in missing]
    # The graph that names a file may come from elsewhere.
    is_whole = len(entries) == len(_entries(document))
    return [*problems, *_format_problems(files, document, supplies, is_whole=is_whole)]


def _present(
    entry: FolderWeights, document: Document, supplies: Supplies
) -> tuple[dict[str, RangeReader], list[Problem]]:
    reader = FolderReader(entry, Path(document.name).parent, supplies)
    try:
        found, problems = reader.readable(entry.files)
    except MealkitError as error:
        found, problems = {}, list(error.problems)
    if entry.mirrors:
        problems = [item for item in problems if item.code != "SOURCE_NOT_FOUND"]
    return found, problems


def _format_problems(
    files: Mapping[str, tuple[int, RangeReader]],
    document: Document,
    supplies: Supplies,
    *,
    is_whole: bool,
) -> Iterator[Problem]:
    graph_data = cache(lambda: graph_data_of({path: item[1] for path, item in files.items()}))
    allow_pickle = _part(_part(document.data, "model"), "allow_pickle") is True
    for path, (index, ranges) in files.items():

        def is_named(path: str = path) -> bool:
            return not is_whole or path in graph_data()

        try:
            classify(
                path,
                ranges,
                allow_pickle=allow_pickle,
                is_graph_data=is_named,
                any_data=supplies.any_data,
            )
        except MealkitError as error:
            yield from (_on_line(item, document, index) for item in error.problems)


def _on_line(problem: Problem, document: Document, index: int) -> Problem:
    """Return the problem with the line of its entry in kit.yaml."""
    place = problem.where or ""
    message = problem.message if place in problem.message else f"{problem.message}, in {place}"
    where = document.where(("model", "weights", index))
    return replace(problem, message=f"model.weights.{index}: {message}", where=where)


def _entries(document: Document) -> list[Any]:
    entries = _part(_part(document.data, "model"), "weights")
    return entries if isinstance(entries, list) else []


def _part(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, Mapping) else None
