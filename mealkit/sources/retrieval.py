"""Fetches the locked files of a model from any source that has their bytes.

Raises SourceError for other bytes than the locked ones, and for content of another format.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure
from mealkit.jobs import Stop, side_by_side
from mealkit.oci.reference import Reference
from mealkit.progress import Task
from mealkit.recipe.kit import Model
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import (
    FolderOrigin,
    HttpOrigin,
    HubOrigin,
    OciOrigin,
    Origin,
    WheelOrigin,
)
from mealkit.recipe.weight_places import (
    FolderPlace,
    HttpPlace,
    HubPlace,
    OciPlace,
    Place,
    Weights,
    WheelPlace,
)
from mealkit.sources.fallback import first_that_works, open_place, path_in_image
from mealkit.sources.formats import classify
from mealkit.sources.ranges import FileRanges
from mealkit.sources.source import PlaceReader, Supplies, matches

_THREADS = 4

Notice = Callable[[Problem], None]


def ignore_notice(_problem: Problem) -> None:
    """Ignore the problems that a mirror solved."""


def fetch_weights(
    kit_folder: Path,
    model: Model,
    locked: Sequence[LockedFile],
    supplies: Supplies,
    notice: Notice = ignore_notice,
) -> dict[Digest, Path]:
    """Return a verified local path for every locked file: cached, or from its place or a mirror.

    Several files are downloaded in parallel. Files in a folder stay in place. The supplies' task
    counts every byte once (negative numbers if a download starts over). ``notice`` is called for
    every place that failed before another succeeded; one call at a time.

    Raises:
        LockError: the kit has no entry for a locked file (``LOCK_STALE``).
        SourceError: every place of a file failed, with all their problems; ``WEIGHTS_PICKLE`` or
            ``WEIGHTS_FORMAT``: the content does not have the locked format.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    with ExitStack() as stack:
        told = supplies.telling(_InTurn(supplies.task, stop := Stop()))
        job = _Job(model, told, _Sites(kit_folder, model, locked, told, stack), [])
        try:
            paths = side_by_side(job.fetch, locked, threads=_THREADS, stop=stop)
        finally:
            for problem in job.notices:
                notice(problem)
        return {file.sha256: path for file, path in zip(locked, paths, strict=True)}


def read_beside(
    entry: Weights,
    name: str,
    kit_folder: Path,
    locked: Sequence[LockedFile],
    supplies: Supplies,
    max_bytes: int,
) -> bytes:
    """Return a file that is at the places of an entry and is not one of the model's.

    It is read at the commit or the digest of the locked files.

    Raises:
        SourceError: no place has it, or it is larger than ``max_bytes``.
    """
    with ExitStack() as stack:
        readers = _open_places(entry, kit_folder, locked, supplies, stack)
        ((file,), _) = first_that_works(readers, lambda reader: reader.pin([name], {}))
        if file.size_bytes > max_bytes:
            message = f"{name} has {file.size_bytes} bytes; at most {max_bytes} are read"
            raise failure("SOURCE_SIZE", message, where=name)
        return file.ranges.read(0, file.size_bytes)


class _InTurn:
    """A task that counts the bytes of several downloads, until they are stopped."""

    def __init__(self, task: Task, stop: Stop) -> None:
        self.advance = stop.guarded(task.advance)
        self.done = task.done


class _Sites:
    """The open places of every entry, and the places that do not answer."""

    def __init__(
        self,
        kit_folder: Path,
        model: Model,
        locked: Sequence[LockedFile],
        supplies: Supplies,
        stack: ExitStack,
    ) -> None:
        self._model = model
        self._down: dict[int, MealkitError] = {}
        self._readers: dict[int, list[PlaceReader]] = {
            id(entry): _open_places(entry, kit_folder, locked, supplies, stack)
            for entry in model.weights
        }

    def of(self, file: LockedFile) -> tuple[str, list[PlaceReader]]:
        """Return a file's name at its places, and the places in the kit's order."""
        for entry in self._model.weights:
            name = name_at(entry, file.path)
            if name is not None and gave(entry, name, file):
                return name, self._readers[id(entry)]
        raise failure("LOCK_STALE", f"no entry of model.weights gives {file.path}", where=file.path)

    def ask(self, reader: PlaceReader, fetch: Callable[[], Path]) -> Path:
        """Fetch from a place, unless it already did not answer for another file."""
        known = self._down.get(id(reader))
        if known is not None:
            raise known
        try:
            return fetch()
        except MealkitError as error:
            if all(item.code == "SOURCE_UNREACHABLE" for item in error.problems):
                self._down[id(reader)] = error
            raise


@dataclass(frozen=True, slots=True)
class _Job:
    """The values that every thread needs to fetch a file."""

    model: Model
    supplies: Supplies
    sites: _Sites
    notices: list[Problem]

    def fetch(self, file: LockedFile) -> Path:
        path = self.supplies.downloader.cache.path(file.sha256)
        if path is None:
            path = self._fetch_from_places(file)
        else:
            self.supplies.task.advance(file.size_bytes)
        # The header that a Hub sent when the kit was locked may not be that of these bytes.
        form = classify(
            file.path,
            FileRanges(path),
            allow_pickle=self.model.allow_pickle,
            is_graph_data=lambda: file.format == "onnx-data",
            any_data=file.format == "data",
        )
        if form != file.format:
            raise failure(
                "WEIGHTS_FORMAT",
                f"{file.path} is {form} by its content, the lock states {file.format}",
                hint="mealkit lock --upgrade weights",
                where=file.path,
            )
        return path

    def _fetch_from_places(self, file: LockedFile) -> Path:
        name, readers = self.sites.of(file)

        def attempt(reader: PlaceReader) -> Path:
            return self.sites.ask(reader, lambda: reader.fetch(name, file.sha256, file.size_bytes))

        path, problems = first_that_works(readers, attempt)
        self.notices.extend(problems)
        return path


def _open_places(
    entry: Weights,
    kit_folder: Path,
    locked: Sequence[LockedFile],
    supplies: Supplies,
    stack: ExitStack,
) -> list[PlaceReader]:
    """Open an entry's places in the kit's order, each at what the lock resolved it to."""
    own = given_by(entry, locked)
    return [
        stack.enter_context(closing(open_place(place, kit_folder, supplies, revision, own)))
        for place in (entry, *entry.mirrors)
        for revision in locked_revisions(place, tuple(own.values())) or (None,)
    ]


def locked_revisions(place: Place, locked: Sequence[LockedFile]) -> tuple[str, ...]:
    """Return the commits or digests that a place's revision or tag may have been resolved to.

    They are several if two places have repositories of one name, since a lock has no hosts.
    ``locked`` are the files of the place's entry.
    """
    found: list[str] = []
    for origin in (origin for file in locked for origin in file.origins):
        match place, origin:
            case HubPlace(), HubOrigin() if origin.repo == place.repo:
                found.append(origin.commit)
            case OciPlace(), OciOrigin() if origin.repository == repository_of(place):
                found.append(str(origin.digest))
            case _:
                pass
    stated = _stated_revision(place)
    return (stated,) if stated in found else tuple(dict.fromkeys(found))


def _stated_revision(place: Place) -> str | None:
    """Return what the kit itself states: a commit, a branch or a digest."""
    match place:
        case HubPlace():
            return place.revision
        case OciPlace():
            digest = Reference.parse(place.reference).digest
            return None if digest is None else str(digest)
        case _:
            return None


def repository_of(place: OciPlace) -> str:
    """Return the name of an artifact's repository, without its registry."""
    return Reference.parse(place.reference).repository


def name_at(entry: Weights, path: str) -> str | None:
    """Return the name at its places of the file with a path in the image; None if it gives none."""
    prefix = path_in_image(entry, "")
    name = path.removeprefix(prefix)
    return name if path.startswith(prefix) and matches(name, entry.files) else None


def given_by(entry: Weights, locked: Sequence[LockedFile]) -> dict[str, LockedFile]:
    """Return the locked files that an entry gives, by their names at its places."""
    named = ((name_at(entry, file.path), file) for file in locked)
    return {name: file for name, file in named if name is not None and gave(entry, name, file)}


def gave(entry: Weights, name: str, file: LockedFile) -> bool:
    """Return whether a locked file may come from an entry: one of its places is an origin."""
    return any(
        _is_origin(place, name, origin)
        for place in (entry, *entry.mirrors)
        for origin in file.origins
    )


def _is_origin(place: Place, name: str, origin: Origin) -> bool:
    match place, origin:
        case HubPlace(), HubOrigin():
            return (place.repo, name) == (origin.repo, origin.file)
        case WheelPlace(), WheelOrigin():
            return (place.package, place.version) == (origin.package, origin.version)
        case HttpPlace(), HttpOrigin(file=file):
            return name == file
        case FolderPlace(), FolderOrigin(file=file):
            return name == file
        case OciPlace(), OciOrigin():
            return (repository_of(place), name) == (origin.repository, origin.file)
        case _:
            return False
