"""Checks the files of folder sources without hashing them: that they exist, and their formats.

Reads the document of a kit that may be wrong elsewhere, so that all problems are reported together.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mealkit.errors import MealkitError, Problem, failure
from mealkit.kit.document import Document
from mealkit.kit.document import Path as FieldPath
from mealkit.kit.files import file_entries
from mealkit.kit.making_scripts import making_command
from mealkit.recipe.weight_places import FolderWeights
from mealkit.sources.dataset_files import about_data
from mealkit.sources.fallback import path_in_image
from mealkit.sources.formats import classify
from mealkit.sources.kit_folder import FolderReader
from mealkit.sources.ranges import RangeReader
from mealkit.sources.source import Supplies
from mealkit.sources.weights import graph_data_of

_MOST_JSON_BYTES = 64 * 1024 * 1024

_DATA = "datasets"
"""The field of the data sets; the other entries are of the model."""


def folder_entries(document: Document) -> dict[FieldPath, FolderWeights]:
    """Return the valid folder sources of a kit, of weights and of data sets, by their place."""
    found: dict[FieldPath, FolderWeights] = {}
    for entry, place in file_entries(document.data):
        if isinstance(entry, dict) and entry.get("source") == "folder":
            try:
                found[place] = FolderWeights.model_validate_json(json.dumps(entry))
            except ValidationError:
                continue  # the kit's own models reject it
    return found


def folder_problems(document: Document, supplies: Supplies) -> list[Problem]:
    """Return a problem for every file of a folder source that is missing, or cannot be locked.

    A missing file is none if the entry has a mirror.
    """
    lifted = _part(document.data, "allow_secrets")
    names = frozenset(map(str, lifted)) if isinstance(lifted, list) else frozenset()
    supplies = replace(supplies, allow_secrets=names)
    entries = folder_entries(document)
    weights = {place: entry for place, entry in entries.items() if place[0] != _DATA}
    data = {place: entry for place, entry in entries.items() if place[0] == _DATA}
    # The graph that names a file may come from elsewhere.
    count = sum(place[0] != _DATA for _, place in file_entries(document.data))
    allow_pickle = _part(_part(document.data, "model"), "allow_pickle") is True
    check = _Check(document, supplies, allow_pickle, is_whole=count == len(weights))
    any_data = replace(supplies, any_data=True, field=_DATA)
    of_data = _Check(document, any_data, allow_pickle=False, is_whole=True)
    return [*check.problems(weights), *of_data.problems(data)]


@dataclass(frozen=True, slots=True)
class _Check:
    """How the files of entries are checked: those of weights, or those of data sets."""

    document: Document
    supplies: Supplies
    allow_pickle: bool
    is_whole: bool
    """Whether all entries are folders, so that every graph is here."""

    def problems(self, entries: Mapping[FieldPath, FolderWeights]) -> list[Problem]:
        """Return the problems of the files of these entries."""
        problems: list[Problem] = []
        files: dict[str, tuple[FieldPath, RangeReader]] = {}
        for place, entry in entries.items():
            found, missing = self._present(entry)
            inner = f"{place[1]}/" if place[0] == _DATA else ""
            files |= {
                f"{inner}{path_in_image(entry, name)}": (place, ranges)
                for name, ranges in found.items()
            }
            problems += [self._on_line(item, place) for item in missing]
        return [*problems, *self._format_problems(files)]

    def _present(self, entry: FolderWeights) -> tuple[dict[str, RangeReader], list[Problem]]:
        reader = FolderReader(entry, Path(self.document.name).parent, self.supplies)
        try:
            found, problems = reader.readable(entry.files)
        except MealkitError as error:
            found, problems = {}, list(error.problems)
        if entry.mirrors:
            problems = [item for item in problems if item.code != "SOURCE_NOT_FOUND"]
        return found, problems

    def _format_problems(
        self, files: Mapping[str, tuple[FieldPath, RangeReader]]
    ) -> Iterator[Problem]:
        graph_data = cache(lambda: graph_data_of({path: item[1] for path, item in files.items()}))
        for path, (place, ranges) in files.items():

            def is_named(path: str = path) -> bool:
                return not self.is_whole or path in graph_data()

            try:
                classify(
                    path,
                    ranges,
                    allow_pickle=self.allow_pickle,
                    is_graph_data=is_named,
                    any_data=self.supplies.any_data,
                )
                if not self.supplies.any_data:
                    _require_content(path, ranges)
            except MealkitError as error:
                yield from (self._on_line(item, place) for item in error.problems)

    def _on_line(self, problem: Problem, entry: FieldPath) -> Problem:
        """Return the problem with the line of its entry in kit.yaml."""
        place = problem.where or ""
        message = problem.message if place in problem.message else f"{problem.message}, in {place}"
        named = ".".join(map(str, entry))
        where = self.document.where(entry)
        if entry[0] == _DATA:
            problem = about_data(problem)
        if problem.code == "SOURCE_NOT_FOUND":
            command = self._command(problem, entry)
            hint = f"make it: {command}" if command else "create the file, or correct its name"
            problem = replace(problem, hint=hint)
        return replace(problem, message=f"{named}: {message}", where=where)

    def _command(self, problem: Problem, entry: FieldPath) -> str | None:
        """Return the command of the kit's script that makes a missing file."""
        found = folder_entries(self.document).get(entry)
        if found is None:
            return None
        paths = [f"{found.path}/{name}" for name in found.files if name in problem.message]
        return making_command(self.document, paths or [f"{found.path}/"])


def _require_content(name: str, ranges: RangeReader) -> None:
    """Raise for a file without a byte, or one with the name of JSON that is none.

    Raises:
        SourceError: ``WEIGHTS_FORMAT``.
    """
    if not name.endswith(".json") or ranges.size_bytes > _MOST_JSON_BYTES:
        return
    hint = "get the file again, or write it anew"
    if ranges.size_bytes == 0:
        raise failure("WEIGHTS_FORMAT", f"{name} is empty", where=name, hint=hint)
    try:
        json.loads(ranges.read(0, ranges.size_bytes))
    except json.JSONDecodeError as error:
        message = f"{name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise failure("WEIGHTS_FORMAT", message, where=name, hint=hint) from error
    except (ValueError, RecursionError) as error:
        message = f"{name} is not JSON: {type(error).__name__}"
        raise failure("WEIGHTS_FORMAT", message, where=name, hint=hint) from error


def _part(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, Mapping) else None
