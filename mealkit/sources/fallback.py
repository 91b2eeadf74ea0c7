"""Selects the adapter for each place of a kit's weights, and the next place if one fails.

An error that a mirror cannot solve, such as a full disk, is raised immediately.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar, assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failures
from mealkit.recipe.weight_places import (
    FolderPlace,
    HttpPlace,
    HubPlace,
    OciPlace,
    Place,
    Weights,
    WheelPlace,
)
from mealkit.sources.http import HttpReader
from mealkit.sources.hub import HubReader
from mealkit.sources.kit_folder import FolderReader
from mealkit.sources.model_artifact import ArtifactReader
from mealkit.sources.source import PlaceReader, Supplies
from mealkit.sources.wheel import WheelReader

T = TypeVar("T")

# After these errors, a mirror is tried.
_PLACE_FAULTS = ("SOURCE_", "PACKAGES_", "WHEEL_")
# The most informative of several problems comes first: wrong bytes before no answer.
_TELLING = (
    "SOURCE_DIGEST",
    "SOURCE_SIZE",
    "SOURCE_DENIED",
    "SOURCE_NOT_FOUND",
    "WHEEL_INVALID",
    "SOURCE_INSECURE",
    "SOURCE_REDIRECTS",
    "SOURCE_ANSWER",
)


def open_place(
    place: Place,
    kit_folder: Path,
    supplies: Supplies,
    locked: str | None = None,
    names: Collection[str] = (),
) -> PlaceReader:
    """Return the adapter of a place; this makes no request.

    ``locked`` is the commit to which a lock resolved a revision on the Hub, or the digest to which
    it resolved the tag of an artifact; ``names`` are the files that will be fetched.
    """
    match place:
        case HubPlace():
            return HubReader(place, supplies, locked)
        case WheelPlace():
            return WheelReader(place, supplies)
        case HttpPlace():
            return HttpReader(place, supplies)
        case FolderPlace():
            return FolderReader(place, kit_folder, supplies)
        case OciPlace():
            return ArtifactReader(place, supplies, Digest(locked) if locked else None, names)
        case _:
            assert_never(place)


def path_in_image(entry: Weights, name: str) -> str:
    """Return the path of an entry's file, below /models."""
    return f"{PurePosixPath(entry.into)}/{name}" if entry.into else name


def is_place_fault(error: MealkitError) -> bool:
    """Return whether another place may succeed."""
    return all(item.code.startswith(_PLACE_FAULTS) for item in error.problems)


def first_that_works(
    readers: Sequence[PlaceReader], attempt: Callable[[PlaceReader], T]
) -> tuple[T, list[Problem]]:
    """Return the result of the first place that succeeds, and the problems of those before it.

    Raises:
        SourceError: all places fail; it has the problems of all, the most informative first.
        MealkitError: another place would not help; raised immediately.
    """
    problems: list[Problem] = []
    for reader in readers:
        try:
            return attempt(reader), problems
        except MealkitError as error:
            if not is_place_fault(error):
                raise
            problems += error.problems
    raise failures(_most_telling_first(problems))


def _most_telling_first(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems without repetition, wrong bytes before no answer."""
    rank = {code: place for place, code in enumerate(_TELLING)}
    return sorted(dict.fromkeys(problems), key=lambda item: rank.get(item.code, len(rank)))
