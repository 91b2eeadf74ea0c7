"""Finds files of folder sources that differ from the lock, and describes the model with them.

No network: a file from elsewhere stays as it is locked. Raises SourceError for a changed file that
a lock cannot contain.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mealkit.lock.resolved_weights import CurrentWeights, lockable
from mealkit.recipe.kit import Model
from mealkit.recipe.lock import LockedModel, ModelShape
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin
from mealkit.recipe.weight_places import FolderWeights, HubPlace, OciPlace, Place, Weights
from mealkit.sources.fallback import path_in_image
from mealkit.sources.formats import Format
from mealkit.sources.kit_folder import FolderReader
from mealkit.sources.ranges import FileRanges, RangeReader
from mealkit.sources.read_shape import ModelFile, shape_of
from mealkit.sources.retrieval import given_by, locked_revisions, name_at
from mealkit.sources.source import PinnedFile, Supplies
from mealkit.sources.weights import forms_of, require_apart

P = TypeVar("P", bound=Place)

# Files of these formats have no tensors.
_PLAIN = frozenset({"json", "text", "data"})


def changed_weights(
    kit_folder: Path, model: Model, locked: LockedModel, supplies: Supplies
) -> CurrentWeights | None:
    """Return a model's files with those of folder sources as they are now; None if none differs.

    A missing file counts as locked if its entry has a mirror, or if its bytes are in the cache.

    Raises:
        KitError: a file is outside the kit's bounds, or looks like a secret.
        SourceError: a changed file has a format that a lock cannot contain.
    """
    before = {file.path: file for file in locked.files}
    now: dict[str, PinnedFile] = {}
    gone: list[LockedFile] = []
    is_asserted = True
    for entry in model.weights:
        if isinstance(entry, FolderWeights):
            pinned = FolderReader(entry, kit_folder, supplies).present(entry.files)
            now |= {path_in_image(entry, file.name): file for file in pinned}
            is_asserted &= all(
                entry.sha256.get(file.name, file.digest.hex) == file.digest.hex for file in pinned
            )
            if not entry.mirrors:
                gone += [file for file in _from_folder(entry, locked) if file.path not in now]
    cached = supplies.downloader.cache.path
    missing = tuple(sorted(file.path for file in gone if cached(file.sha256) is None))
    changed = {
        path: file
        for path, file in now.items()
        if path not in before or before[path].sha256 != file.digest
    }
    if not changed and not missing:
        return None
    require_apart({**before, **changed})
    forms = _forms(model, locked, now, changed, any_data=supplies.any_data)
    files = dict(before)
    with lockable("the weights"):
        for path, file in changed.items():
            known = before[path].origins if path in before else None
            files[path] = LockedFile(
                path=path,
                sha256=file.digest,
                size_bytes=file.size_bytes,
                format=forms[path],
                origins=known or (FolderOrigin(file=file.name),),
            )
    shape: ModelShape | None = locked.shape
    if not is_asserted:
        shape = None  # resolving the weights says which digest the kit asserts
    elif any(_shapes(before.get(path), files[path]) for path in changed):
        shape = _shape(files, now, supplies)
    whole = tuple(files[path] for path in sorted(files))
    return CurrentWeights(whole, shape, missing, _pinned_model(model, locked))


def _from_folder(entry: Weights, locked: LockedModel) -> Iterator[LockedFile]:
    for file in locked.files:
        name = name_at(entry, file.path)
        if name is not None and FolderOrigin(file=name) in file.origins:
            yield file


def _forms(
    model: Model,
    locked: LockedModel,
    now: Mapping[str, PinnedFile],
    changed: Mapping[str, PinnedFile],
    *,
    any_data: bool,
) -> dict[str, Format]:
    """Return the formats of the changed files; graphs that did not change name their data, too."""
    data = frozenset(file.path for file in locked.files if file.format == "onnx-data")
    graphs = {path: file.ranges for path, file in now.items() if path.endswith(".onnx")}
    readers = {path: file.ranges for path, file in changed.items()}
    return forms_of(readers, model, graphs=graphs, known_data=data, any_data=any_data)


def _shapes(before: LockedFile | None, after: LockedFile) -> bool:
    """Return whether a change of a file can change the model's shape."""
    if PurePosixPath(after.path).name == "config.json":
        return True
    return not {after.format, before.format if before else after.format} <= _PLAIN


def _shape(
    files: Mapping[str, LockedFile], now: Mapping[str, PinnedFile], supplies: Supplies
) -> ModelShape | None:
    """Return the shape of the current files; None if a header is not on this machine."""
    read: list[ModelFile] = []
    for path, file in sorted(files.items()):
        if not _shapes(None, file):
            continue
        ranges: RangeReader
        if path in now:
            ranges = now[path].ranges
        elif (stored := supplies.downloader.cache.path(file.sha256)) is not None:
            ranges = FileRanges(stored)
        else:
            return None
        read.append(ModelFile(path, file.format, ranges))
    return shape_of(read)


def _pinned_model(model: Model, locked: LockedModel) -> Model:
    """Return the model with everything but folders pinned to what is locked.

    So a branch does not move because a local file changed.
    """
    weights = tuple(_pinned_entry(entry, locked) for entry in model.weights)
    return model.model_copy(update={"weights": weights})


def _pinned_entry(entry: Weights, locked: LockedModel) -> Weights:
    if isinstance(entry, FolderWeights):
        return entry
    own = given_by(entry, locked.files)
    first, *others = _at_revisions(entry, own.values())
    mirrors = [at for place in entry.mirrors for at in _at_revisions(place, own.values())]
    update = {
        "files": tuple(own),
        "sha256": {name: file.sha256.hex for name, file in own.items()},
        "mirrors": (*others, *mirrors),
    }
    return first.model_copy(update=update)


def _at_revisions(place: P, locked: Collection[LockedFile]) -> list[P]:
    """Return a place at each commit or digest it may be locked to; one without either as it is."""
    revisions = locked_revisions(place, tuple(locked))
    return [_at_revision(place, revision) for revision in revisions] or [place]


def _at_revision(place: P, revision: str) -> P:
    if isinstance(place, HubPlace):
        return place.model_copy(update={"revision": revision})
    if isinstance(place, OciPlace):
        tagged = place.reference.partition("@")[0]
        return place.model_copy(update={"reference": f"{tagged}@{revision}"})
    return place
