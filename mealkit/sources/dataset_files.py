"""Resolves, compares and fetches the files of data sets, through the sources of weights.

To the sources, the data sets of a kit are the entries of one model, each in a folder of its name.
A data set may have files of any format except pickles and programs.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failures
from mealkit.lock.resolved_datasets import CurrentDatasets
from mealkit.recipe.claims import LockedDataset
from mealkit.recipe.kit import Model, Task
from mealkit.recipe.lock import LockedModel, ModelShape
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.weight_places import Weights
from mealkit.sources.folder_changes import changed_weights
from mealkit.sources.retrieval import Notice, fetch_weights, ignore_notice
from mealkit.sources.source import Supplies
from mealkit.sources.weights import resolve_weights


def dataset_entries(datasets: Mapping[str, Weights]) -> tuple[Weights, ...]:
    """Return the entries of data sets, each with the data set's name as its first folder."""
    return tuple(
        entry.model_copy(update={"into": f"{name}/{entry.into}" if entry.into else name})
        for name, entry in datasets.items()
    )


def resolve_datasets(
    kit_folder: Path, datasets: Mapping[str, Weights], supplies: Supplies
) -> tuple[dict[str, LockedDataset], list[Problem]]:
    """Return each data set with the digests of its files, and warnings.

    Raises:
        KitError, SourceError, StoreError: as ``resolve_weights``.
    """
    with _data_problems():
        files, _, notices = resolve_weights(kit_folder, _as_model(datasets), supplies)
    return _by_name(files), notices


def changed_datasets(
    kit_folder: Path,
    datasets: Mapping[str, Weights],
    locked: Mapping[str, LockedDataset],
    supplies: Supplies,
) -> CurrentDatasets:
    """Return the locked data sets whose files in folders are others now.

    Raises:
        KitError: a file is outside the kit's bounds, or looks like a secret.
        SourceError: a changed file has a format that a lock cannot contain.
    """
    changed: dict[str, LockedDataset] = {}
    missing: list[str] = []
    refused: set[str] = set()
    for name, entry in datasets.items():
        model = _as_model({name: entry})
        before = LockedModel(
            name=model.name,
            license=model.license,
            task=Task.PREDICTION,
            files=locked[name].files,
            shape=ModelShape(),
        )
        with _data_problems():
            now = changed_weights(kit_folder, model, before, supplies)
        if now is not None:
            changed |= _by_name(now.files)
            missing += now.missing
            refused |= {name} if now.shape is None else set()
    return CurrentDatasets(changed, tuple(missing), frozenset(refused))


def fetch_locked_datasets(
    kit_folder: Path,
    datasets: Mapping[str, Weights],
    locked: Iterable[LockedFile],
    supplies: Supplies,
    notice: Notice = ignore_notice,
) -> dict[Digest, Path]:
    """Return a verified local path for every locked file.

    Raises:
        LockError, SourceError, StoreError: as ``fetch_weights``.
    """
    with _data_problems():
        return fetch_weights(kit_folder, _as_model(datasets), tuple(locked), supplies, notice)


def about_data(problem: Problem) -> Problem:
    """Return a problem of a file's format with the fix for data; others unchanged."""
    if problem.code not in {"WEIGHTS_PICKLE", "WEIGHTS_FORMAT"}:
        return problem
    return replace(problem, hint="convert it to JSON Lines, CSV or Parquet")


@contextmanager
def _data_problems() -> Iterator[None]:
    try:
        yield
    except MealkitError as error:
        raise failures([about_data(item) for item in error.problems]) from error


def _as_model(datasets: Mapping[str, Weights]) -> Model:
    return Model(name="data sets", license="-", weights=dataset_entries(datasets))


def _by_name(files: Iterable[LockedFile]) -> dict[str, LockedDataset]:
    groups = groupby(
        sorted(files, key=lambda file: (_dataset_of(file), file.path)), key=_dataset_of
    )
    return {name: LockedDataset(files=tuple(own)) for name, own in groups}


def _dataset_of(file: LockedFile) -> str:
    return file.path.partition("/")[0]
