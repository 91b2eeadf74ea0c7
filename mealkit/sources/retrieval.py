"""The locked files of a model, fetched from wherever their bytes may be had.

Refuses any bytes but the locked ones, and a content that is not of the locked format.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure
from mealkit.recipe.kit import FolderPlace, HttpPlace, HubPlace, Model, Place, Weights, WheelPlace
from mealkit.recipe.lock import LockedFile
from mealkit.recipe.origins import FolderOrigin, HttpOrigin, HubOrigin, Origin, WheelOrigin
from mealkit.sources.download import Advance, ignore_progress
from mealkit.sources.fallback import first_that_works, open_place, path_in_image
from mealkit.sources.formats import classify
from mealkit.sources.ranges import FileRanges
from mealkit.sources.source import PlaceReader, Supplies, matches

_THREADS = 4

Notice = Callable[[Problem], None]


def ignore_notice(_problem: Problem) -> None:
    """Listen to problems that were got around, and do nothing."""


def fetch_weights(
    kit_folder: Path,
    model: Model,
    locked: Sequence[LockedFile],
    supplies: Supplies,
    *,
    advance: Advance = ignore_progress,
    notice: Notice = ignore_notice,
) -> dict[Digest, Path]:
    """Return a verified local path for every locked file: cached, or from its place or a mirror.

    Several are downloaded at once. Files of a folder stay where they are. ``advance`` hears of
    every byte once (negative numbers when a download starts over), ``notice`` of every place that
    failed before another did not; both may be called from other threads, one call at a time.

    Raises:
        LockError: the kit has no entry for a locked file (``LOCK_STALE``).
        SourceError: every place of a file failed, with all their problems; ``WEIGHTS_PICKLE`` or
            ``WEIGHTS_FORMAT``: the content is not what the lock says.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    with ExitStack() as stack:
        sites = _Sites(kit_folder, model, locked, supplies, stack)
        job = _Job(model, supplies, sites, _Listener(advance, notice))
        with ThreadPoolExecutor(_THREADS, "mealkit-fetch") as threads:
            futures = {file: threads.submit(job.fetch, file) for file in locked}
            try:
                wait(futures.values(), return_when=FIRST_EXCEPTION)
            finally:
                # Whether one failed or the user gave up: the others end at their next bytes.
                job.listener.stop(futures.values())
        return _results(futures)


class _StoppedError(Exception):
    """Another file failed, so this one is no longer wanted."""


class _Listener:
    """Passes on progress and problems one at a time, and ends downloads that are not wanted."""

    def __init__(self, advance: Advance, notice: Notice) -> None:
        self._advance = advance
        self._notice = notice
        self._lock = threading.Lock()
        self._stopped = False

    def advance(self, done_bytes: int) -> None:
        with self._lock:
            if self._stopped:
                raise _StoppedError
            self._advance(done_bytes)

    def notice(self, problems: Sequence[Problem]) -> None:
        with self._lock:
            for item in problems:
                self._notice(item)

    def stop(self, futures: "Iterable[Future[Path]]") -> None:
        for future in futures:
            future.cancel()
        with self._lock:
            self._stopped = True


class _Sites:
    """The open places of every entry, and which of them do not answer."""

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
        self._readers: dict[int, list[PlaceReader]] = {}
        for entry in model.weights:
            self._readers[id(entry)] = [
                stack.enter_context(
                    closing(open_place(place, kit_folder, supplies, _commit(place, locked)))
                )
                for place in (entry, *entry.mirrors)
            ]

    def of(self, file: LockedFile) -> tuple[str, list[PlaceReader]]:
        """Return a file's name at its places, and the places in the kit's order."""
        for entry in self._model.weights:
            name = _name_at(entry, file.path)
            if name is not None and _gave(entry, name, file):
                return name, self._readers[id(entry)]
        raise failure("LOCK_STALE", f"no entry of model.weights gives {file.path}", where=file.path)

    def ask(self, reader: PlaceReader, fetch: Callable[[], Path]) -> Path:
        """Fetch from a place, unless it has failed to answer for another file already."""
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
    """What every thread needs to fetch one file."""

    model: Model
    supplies: Supplies
    sites: _Sites
    listener: _Listener

    def fetch(self, file: LockedFile) -> Path:
        path = self.supplies.downloader.cache.path(file.sha256)
        if path is None:
            path = self._fetch_from_places(file)
        else:
            self.listener.advance(file.size_bytes)
        # The header that a Hub showed to the lock need not have been that of these bytes.
        form = classify(
            file.path,
            FileRanges(path),
            allow_pickle=self.model.allow_pickle,
            is_graph_data=lambda: file.format == "onnx-data",
        )
        if form != file.format:
            raise failure(
                "WEIGHTS_FORMAT",
                f"{file.path} is {form} by its content, the lock says {file.format}",
                hint="mealkit lock --upgrade weights",
                where=file.path,
            )
        return path

    def _fetch_from_places(self, file: LockedFile) -> Path:
        name, readers = self.sites.of(file)

        def attempt(reader: PlaceReader) -> Path:
            return self.sites.ask(
                reader,
                lambda: reader.fetch(name, file.sha256, file.size_bytes, self.listener.advance),
            )

        path, problems = first_that_works(readers, attempt)
        self.listener.notice(problems)
        return path


def _results(futures: "dict[LockedFile, Future[Path]]") -> dict[Digest, Path]:
    """Return every path, or raise the failure that stopped the rest."""
    errors = [
        error
        for future in futures.values()
        if not future.cancelled() and (error := future.exception()) is not None
    ]
    for error in errors:
        if not isinstance(error, _StoppedError):
            raise error
    return {file.sha256: future.result() for file, future in futures.items()}


def _commit(place: Place, locked: Sequence[LockedFile]) -> str | None:
    """Return the commit that the lock resolved a place's revision to."""
    if not isinstance(place, HubPlace):
        return None
    for file in locked:
        for origin in file.origins:
            if isinstance(origin, HubOrigin) and origin.repo == place.repo:
                return origin.commit
    return None


def _name_at(entry: Weights, path: str) -> str | None:
    prefix = path_in_image(entry, "")
    name = path.removeprefix(prefix)
    return name if path.startswith(prefix) and matches(name, entry.files) else None


def _gave(entry: Weights, name: str, file: LockedFile) -> bool:
    """Tell whether a locked file may come from an entry: a place of it is among the origins."""
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
        case _:
            return False
