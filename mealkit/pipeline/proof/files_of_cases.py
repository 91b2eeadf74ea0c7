"""Finds the files that a lock's cases name: in the kit's folder, or taken out of the image."""

import shutil
from pathlib import Path

from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.files.whole import whole_folder
from mealkit.names import inside
from mealkit.oci.image import Image
from mealkit.paths import CASES
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.taking_files import data_in_image
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.recipe.lock import Lock
from mealkit.sources.file_cache import FileCache


def folder_of_cases(lock: Lock, place: OpenedKit | Image | None, home: Home) -> Path | None:
    """Return the folder that the paths of a lock's case files are relative to.

    None if there are no such files, or if there is only the lock.

    Raises:
        StoreError: the image lacks a file or has other bytes (``BLOB_DAMAGED``); the disk is full.
    """
    if not lock.case_files or place is None:
        return None
    if isinstance(place, OpenedKit):
        return place.folder
    form = [[file.path, file.sha256] for file in lock.case_files]
    folder = home.case_files / Digest.of(canonical_json(form)).hex
    if not folder.is_dir():
        found = _taken(lock, place, FileCache(home.files))
        with whole_folder(folder, "the files of the cases cannot be written") as partial:
            for file in lock.case_files:
                target = inside(partial, file.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found[file.sha256], target)
    return folder


def _taken(lock: Lock, image: Image, cache: FileCache) -> dict[Digest, Path]:
    wanted = {f"{CASES}/{file.path}": file for file in lock.case_files}
    found = data_in_image(image, wanted, cache)
    for path, file in wanted.items():
        if file.sha256 not in found:
            message = f"{path} is in the lock, but not in the image"
            raise failure("BLOB_DAMAGED", message, where=image.digest)
    return found
