"""Describes a kit as an SBOM, from the lock of a kit, of a lock file, or inside an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mealkit import __version__
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.stated_needs import open_recipe
from mealkit.pipeline.publish.kit_image import KitImage, open_kit_image
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock
from mealkit.trust.sbom import sbom_of


def describe(
    target: str, home: Home, allowed: Sequence[Path] = (), progress: Progress = SILENT
) -> dict[str, Any]:
    """Return the SBOM of a kit, a lock or an image, as a CycloneDX document.

    Raises:
        MealkitError: the target cannot be read, or states no recipe.
    """
    recipe = open_recipe(target, home, allowed, progress)
    if isinstance(recipe, Lock):
        return sbom_of(recipe, mealkit_version=__version__)
    with open_kit_image(recipe, home, progress) as kit:
        return sbom_of_image(kit)


def sbom_of_image(kit: KitImage) -> dict[str, Any]:
    """Return the SBOM of an opened image or index."""
    return sbom_of(
        kit.lock,
        image=kit.subject.digest,
        mealkit_version=__version__,
        created_seconds=kit.created_seconds or None,
    )
