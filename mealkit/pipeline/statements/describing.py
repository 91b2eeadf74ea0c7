"""Describes a kit as an SBOM, from the lock of a kit, of a lock file, or inside an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mealkit import __version__
from mealkit.errors import failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.kit_image import KitImage, open_kit_image
from mealkit.pipeline.machine.stated_needs import open_recipe
from mealkit.pipeline.statements.reading_licences import read_licences
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock
from mealkit.trust.sbom import sbom_of


def describe(
    target: str,
    home: Home,
    allowed: Sequence[Path] = (),
    progress: Progress = SILENT,
    *,
    licences: bool = False,
) -> dict[str, Any]:
    """Return the SBOM of a kit, a lock or an image, as a CycloneDX document.

    ``licences``: also those of packages, which are in the layers of an image.

    Raises:
        KitError: ``TARGET_UNFIT``: licences are asked for, and the target is not an image.
        MealkitError: the target cannot be read, or states no recipe.
    """
    recipe = open_recipe(target, home, allowed, progress)
    if not isinstance(recipe, Lock):
        with open_kit_image(recipe, home, progress) as kit:
            return sbom_of_image(kit, progress, licences=licences)
    if licences:
        message = f"the licences of packages are in an image, and {target} is not one"
        raise failure("TARGET_UNFIT", message, where=target, hint="name the image: NAME:VERSION")
    return sbom_of(recipe, mealkit_version=__version__)


def sbom_of_image(
    kit: KitImage, progress: Progress = SILENT, *, licences: bool = False
) -> dict[str, Any]:
    """Return the SBOM of an opened image or index."""
    return sbom_of(
        kit.lock,
        image=kit.subject.digest,
        mealkit_version=__version__,
        created_seconds=kit.created_seconds or None,
        licences=read_licences(kit, progress) if licences else {},
    )
