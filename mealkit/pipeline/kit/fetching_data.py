"""Fetches the data sets of an opened kit from the places that the kit names."""

from collections.abc import Sequence
from pathlib import Path

from mealkit.digest import Digest
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.supplies import open_dataset_supplies
from mealkit.progress import Progress
from mealkit.recipe.locked_file import LockedFile


def fetch_datasets(
    kit: OpenedKit, files: Sequence[LockedFile], home: Home, progress: Progress
) -> dict[Digest, Path]:
    """Return the verified files of a kit's data sets, from the places that the kit names.

    Raises:
        SourceError: every place of a file failed.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    from mealkit.sources.dataset_files import fetch_locked_datasets

    whole = kit.parts.kit
    task = progress.task("data sets", sum(file.size_bytes for file in files))
    with open_dataset_supplies(whole, kit.bounds, home, task) as supplies:
        found = fetch_locked_datasets(kit.folder, whole.datasets, files, supplies, progress.notice)
    task.done(f"{len(files)} files")
    return found
