"""Fetches the files of a model from the origins that its lock names, without the kit.

A lock names the Hub and wheels in full; of URLs and folders only the kit knows where they are.
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import (
    FolderOrigin,
    HttpOrigin,
    HubOrigin,
    OciOrigin,
    Origin,
    WheelOrigin,
)
from mealkit.recipe.weight_places import HubPlace, Place, WheelPlace
from mealkit.sources.fallback import is_place_fault, open_place
from mealkit.sources.source import PlaceReader, Supplies


def fetch_from_origins(
    locked: Sequence[LockedFile], supplies: Supplies
) -> tuple[dict[Digest, Path], list[Problem]]:
    """Return a verified file for each digest that an origin still has, and why others failed.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    found: dict[Digest, Path] = {}
    problems: list[Problem] = []
    readers: dict[Place, PlaceReader | None] = {}
    with ExitStack() as stack:
        for file in locked:
            cached = supplies.downloader.cache.path(file.sha256)
            if cached is not None:
                found[file.sha256] = cached
                continue
            for place, name in filter(None, map(_place, file.origins)):
                if place not in readers:
                    opened = open_place(place, Path(), supplies)
                    readers[place] = stack.enter_context(closing(opened))
                reader = readers[place]
                if reader is None:  # it did not answer for another file
                    continue
                try:
                    found[file.sha256] = reader.fetch(name, file.sha256, file.size_bytes)
                    break
                except MealkitError as error:
                    if not is_place_fault(error):
                        raise
                    problems += error.problems
                    readers[place] = _unless_unreachable(reader, error)
    return found, list(dict.fromkeys(problems))


def _place(origin: Origin) -> tuple[Place, str] | None:
    """Return a place, and the file's name there."""
    match origin:
        case HubOrigin(repo=repo, commit=commit, file=name):
            return HubPlace(source="hub", repo=repo, revision=commit), name
        case WheelOrigin(package=package, version=version, member=name):
            return WheelPlace(source="wheel", package=package, version=version), name
        case HttpOrigin() | FolderOrigin() | OciOrigin():  # the lock has no addresses
            return None


def _unless_unreachable(reader: PlaceReader, error: MealkitError) -> PlaceReader | None:
    unreachable = all(item.code == "SOURCE_UNREACHABLE" for item in error.problems)
    return None if unreachable else reader
