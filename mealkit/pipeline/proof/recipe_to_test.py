"""Finds the lock, with claims and cases, of a kit that runs already, and the files of its data.

The lock is that of the kit that the caller names, else that of the image in the local store, else
what the running kit states about itself: its claims are then its own, and its recipe digest is
only compared where its code is public.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mealkit.acceptance.kit_client import described, manifest_of
from mealkit.acceptance.target import Target
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.opening_images import open_image
from mealkit.pipeline.proof.datasets import dataset_paths
from mealkit.pipeline.proof.files_of_cases import folder_of_cases
from mealkit.pipeline.targets import KitFolder, kit_or_image_named
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock, first_fault, read_lock
from mealkit.stores.local import LocalStore

_ASK_SECONDS = 30.0
# A lock states them about itself; one without the texts of its code has others.
_DIGESTS = frozenset({"recipe", "salt"})


@dataclass(frozen=True, slots=True)
class RecipeToTest:
    """A lock, and where its data is."""

    lock: Lock
    place: OpenedKit | Image | None
    recipe: str | None = None
    """The recipe digest that the kit must state; None: the lock's."""

    def folder(self, home: Home) -> Path | None:
        """Return the folder with the files of the cases, from the kit or from its image."""
        return folder_of_cases(self.lock, self.place, home)

    def data(self, home: Home, progress: Progress) -> Mapping[str, Path]:
        """Return the files of data; a claim whose data cannot be fetched is not judged."""
        if isinstance(self.place, OpenedKit):
            return dataset_paths(self.lock, self.place, home, progress)
        found: dict[str, Path] = {}
        for name, dataset in self.lock.datasets.items():
            part = self.lock.model_copy(update={"datasets": {name: dataset}})
            try:
                found |= dataset_paths(part, self.place, home, progress)
            except MealkitError as error:
                for item in error.problems:
                    progress.notice(item)
        return found


@contextmanager
def recipe_of_kit(
    kit: str, home: Home, allowed: tuple[Path, ...], progress: Progress
) -> Iterator[RecipeToTest]:
    """Open the kit, or the image, that the caller names for a kit that runs already."""
    named = kit_or_image_named(kit)
    if isinstance(named, KitFolder):
        opened = open_kit(named, home, allowed, progress)
        yield RecipeToTest(opened.lock_as_written(), opened)
        return
    with open_image(named, home, progress=progress) as image:
        yield RecipeToTest(lock_of(image), image)


def stated_recipe(target: Target, home: Home) -> RecipeToTest:
    """Return the recipe of a running kit: of its image if that is here, else what it states.

    Raises:
        AcceptanceError: it does not answer as a kit does.
    """
    about = described(target, _ASK_SECONDS)
    image = _stored_image(about.get("image"), home)
    if image is not None:
        return RecipeToTest(lock_of(image), image)
    form = manifest_of(target, _ASK_SECONDS)
    return _stated(form, str(about.get("recipe")), target.address)


def _stored_image(digest: Any, home: Home) -> Image | None:
    try:
        return LocalStore(home.store).image(str(Digest(str(digest))))
    except (MealkitError, ValueError):
        return None


def _stated(form: dict[str, Any], recipe: str, where: str) -> RecipeToTest:
    """Read the lock that a kit states: without the texts of its code, if it has any."""
    code = form.get("code")
    if not code:
        try:
            return RecipeToTest(read_lock(json.dumps(form).encode(), where), None)
        except MealkitError as error:
            raise _not_a_lock(error.problems[0].message, where) from error
    try:
        blank = {path: {**item, "text": "\n"} for path, item in code.items()}
        form = {name: value for name, value in form.items() if name not in _DIGESTS}
        lock = Lock.model_validate_json(json.dumps({**form, "code": blank}))
    except ValidationError as error:
        raise _not_a_lock(first_fault(error), where) from error
    except (AttributeError, TypeError) as error:
        raise _not_a_lock("code is not an object", where) from error
    return RecipeToTest(lock, None, recipe)


def _not_a_lock(why: str, where: str) -> MealkitError:
    return failure("TEST_NOT_A_KIT", f"/v1/manifest is not the lock of a kit: {why}", where=where)
