"""Gets the files of a lock's data sets onto this machine: verified, and each stored once.

A file is taken from the verified files of this machine; with a kit from the places in kit.yaml;
with an image from its layers of data; and else from the origins that the lock names.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failures, problem
from mealkit.oci.image import Image
from mealkit.paths import DATASETS
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.taking_files import data_in_image
from mealkit.pipeline.kit.fetching_data import fetch_datasets
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.supplies import downloader
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.sources.file_cache import FileCache


def dataset_paths(
    lock: Lock, place: OpenedKit | Image | None, home: Home, progress: Progress
) -> Mapping[str, Path]:
    """Return a verified file on this machine for each path of the lock's data sets.

    ``place`` is the kit, or the image, that the lock is of; None if there is only the lock. Files
    of a folder stay where they are.

    Raises:
        AcceptanceError: ``DATASET_MISSING``: no place has a file, with the problems of all.
        SourceError: a place of the kit has other bytes than the locked ones.
        StoreError: the disk is full or cannot be written; the image has other bytes.
    """
    files = [file for dataset in lock.datasets.values() for file in dataset.files]
    if not files:
        return {}
    found = (
        fetch_datasets(place, files, home, progress)
        if isinstance(place, OpenedKit)
        else _without_kit(files, place, home, progress)
    )
    return {file.path: found[file.sha256] for file in files}


def _without_kit(
    files: Sequence[LockedFile], image: Image | None, home: Home, progress: Progress
) -> dict[Digest, Path]:
    cache = FileCache(home.files)
    found = {file.sha256: path for file in files if (path := cache.path(file.sha256))}
    if image is not None:
        wanted = {f"{DATASETS}/{file.path}": file for file in files if file.sha256 not in found}
        found |= data_in_image(image, wanted, cache)
    left = [file for file in files if file.sha256 not in found]
    if not left:
        return found
    fetched, problems = _from_origins(left, home, progress)
    found |= fetched
    missing = [file for file in left if file.sha256 not in found]
    if missing:
        raise _missing(missing, problems)
    return found


def _from_origins(
    files: Sequence[LockedFile], home: Home, progress: Progress
) -> tuple[dict[Digest, Path], list[Problem]]:
    from mealkit.sources.locked_origins import fetch_from_origins
    from mealkit.sources.source import Supplies

    task = progress.task("data sets", sum(file.size_bytes for file in files))
    with downloader(home, task) as fetcher:
        found, problems = fetch_from_origins(files, Supplies(fetcher, any_data=True))
    task.done(f"{len(found)} of {len(files)} files")
    return found, problems


def _missing(files: Sequence[LockedFile], problems: Sequence[Problem]) -> MealkitError:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    message = f"{files[0].path}{more} is neither in the image nor at a source that the lock names"
    return failures([problem("DATASET_MISSING", message, where=files[0].path), *problems])
