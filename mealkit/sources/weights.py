"""Resolves the model's files to digests for the lock.

Raises an error for two files with one path, formats that run code, and bytes that do not have a
digest that the kit asserts.
"""

import posixpath
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure
from mealkit.names import clash
from mealkit.recipe.kit import Model
from mealkit.recipe.lock import ModelShape
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import Origin
from mealkit.recipe.weight_places import Weights
from mealkit.sources.fallback import first_that_works, is_place_fault, open_place, path_in_image
from mealkit.sources.formats import Format, classify
from mealkit.sources.protobuf import external_files
from mealkit.sources.ranges import RangeReader
from mealkit.sources.read_shape import ModelFile, shape_of
from mealkit.sources.source import PinnedFile, PlaceReader, Supplies
from mealkit.untrusted import UntrustedError, shown


def resolve_weights(
    kit_folder: Path, model: Model, supplies: Supplies
) -> tuple[tuple[LockedFile, ...], ModelShape, list[Problem]]:
    """Return every file of a model with its digest, sorted by path; the shape; and warnings.

    Large files on the Hub are not downloaded: their digests come from its metadata, and their
    headers are read by ranges. The warnings are ``SOURCE_UNPINNED`` and the problems that made a
    mirror necessary.

    Raises:
        KitError: ``WEIGHTS_CLASH``, or ``KIT_INVALID`` for a sha256 without a file.
        SourceError: every place of an entry failed (with all their problems), ``WEIGHTS_PICKLE``,
            ``WEIGHTS_FORMAT`` or ``WEIGHTS_DAMAGED``.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    found: dict[str, tuple[PinnedFile, tuple[Origin, ...]]] = {}
    notices: list[Problem] = []
    with ExitStack() as stack:
        for entry in model.weights:
            readers = [
                stack.enter_context(closing(open_place(place, kit_folder, supplies)))
                for place in (entry, *entry.mirrors)
            ]
            pinned, problems = _pin(entry, readers)
            known, unknown = _with_origins(readers)
            notices += [*problems, *unknown]
            for file in pinned:
                path = path_in_image(entry, file.name)
                if path in found:
                    raise failure("WEIGHTS_CLASH", f"two entries give {path}", where=path)
                found[path] = file, _origins(known, file.name)
        require_apart(found)
        forms = forms_of(
            {path: file.ranges for path, (file, _) in found.items()},
            model,
            any_data=supplies.any_data,
        )
        shape = shape_of(
            [ModelFile(path, forms[path], found[path][0].ranges) for path in sorted(found)]
        )
    locked = tuple(_locked(path, forms[path], *found[path]) for path in sorted(found))
    return locked, shape, list(dict.fromkeys(notices))


def require_apart(paths: Collection[str]) -> None:
    """Raise if two paths cannot both be in an image.

    Raises:
        KitError: ``WEIGHTS_CLASH``.
    """
    clashing = clash(paths)
    if clashing is not None:
        message = f"{shown(clashing[0])} and {shown(clashing[1])} cannot both be there"
        raise failure("WEIGHTS_CLASH", message, where=clashing[1])


def forms_of(
    files: Mapping[str, RangeReader],
    model: Model,
    *,
    graphs: Mapping[str, RangeReader] | None = None,
    known_data: frozenset[str] = frozenset(),
    any_data: bool = False,
) -> dict[str, Format]:
    """Return the format of each file by its path.

    ``graphs`` are the files that may be graphs, by default all of them; ``known_data`` are the
    paths that other graphs name.

    Raises:
        SourceError: ``WEIGHTS_PICKLE``, ``WEIGHTS_FORMAT`` or ``WEIGHTS_DAMAGED``.
    """
    # At most once, and only for files of no other format: on a Hub, each piece is a request.
    graph_data = cache(lambda: known_data | graph_data_of(files if graphs is None else graphs))

    def form(path: str) -> Format:
        return classify(
            path,
            files[path],
            allow_pickle=model.allow_pickle,
            is_graph_data=lambda: path in graph_data(),
            any_data=any_data,
        )

    return {path: form(path) for path in files}


def graph_data_of(files: Mapping[str, RangeReader]) -> frozenset[str]:
    """Return the paths of the files in which graphs store tensors."""
    return frozenset(
        posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        for path, ranges in files.items()
        if path.endswith(".onnx")
        for name in _external_files(path, ranges)
    )


def _external_files(path: str, ranges: RangeReader) -> frozenset[str]:
    try:
        return external_files(ranges)
    except UntrustedError as error:
        raise failure("WEIGHTS_DAMAGED", f"{path}: {error}", where=path) from error


def _locked(path: str, form: Format, file: PinnedFile, origins: tuple[Origin, ...]) -> LockedFile:
    return LockedFile(
        path=path,
        sha256=file.digest,
        size_bytes=file.size_bytes,
        format=form,
        origins=origins,
    )


def _pin(entry: Weights, readers: Sequence[PlaceReader]) -> tuple[list[PinnedFile], list[Problem]]:
    asserted = {name: Digest.from_hex(digits) for name, digits in entry.sha256.items()}
    pinned, problems = first_that_works(readers, lambda reader: reader.pin(entry.files, asserted))
    unused = sorted(set(asserted) - {file.name for file in pinned})
    if unused:
        raise failure(
            "KIT_INVALID",
            f"sha256 states a digest of {unused[0]}, which is not one of the entry's files",
            where="model.weights",
        )
    return pinned, problems


def _with_origins(
    readers: Sequence[PlaceReader],
) -> tuple[list[PlaceReader], list[Problem]]:
    """Return the places whose origins are known, and problems: a branch is resolved on its Hub."""
    known: list[PlaceReader] = []
    problems: list[Problem] = []
    for reader in readers:
        try:
            problems += reader.notices()
            known.append(reader)
        except MealkitError as error:
            if not is_place_fault(error):
                raise
            problems += error.problems
    return known, problems


def _origins(readers: Sequence[PlaceReader], name: str) -> tuple[Origin, ...]:
    return tuple(reader.origin(name) for reader in readers)
