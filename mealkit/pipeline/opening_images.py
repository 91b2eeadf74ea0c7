"""Opens the image that a target names, wherever it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

from mealkit.errors import MealkitError
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import (
    ArchiveFile,
    ElsewhereTarget,
    ImageTarget,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    image_named,
)
from mealkit.stores.local import LocalStore


@contextmanager
def open_image(
    target: str | ImageTarget, home: Home, platform: Platform | None = None
) -> Iterator[Image]:
    """Open an image; its layers can be read while it is open.

    One that a registry has is taken from the local store if it is there. ``platform`` chooses
    from an index.

    Raises:
        KitError: what is named is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    found = image_named(target) if isinstance(target, str) else target
    match found:
        case StoredName() | StoredDigest():
            yield LocalStore(home.store).image(found.text)
        case RegistryReference():
            stored = stored_image(found, home)
            if stored is not None:
                yield stored
                return
            with open_elsewhere(found, platform) as image:
                yield image
        case LayoutFolder() | ArchiveFile():
            with open_elsewhere(found, platform) as image:
                yield image
        case _:
            assert_never(found)


def stored_image(target: RegistryReference, home: Home) -> Image | None:
    """Return the image of the local store that has a registry's name, or None.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        return LocalStore(home.store).image(target.text)
    except MealkitError as error:
        if error.problems[0].code != "IMAGE_NOT_FOUND":
            raise
        return None


@contextmanager
def open_elsewhere(target: ElsewhereTarget, platform: Platform | None = None) -> Iterator[Image]:
    """Open an image that is not in the local store; a registry is left when it is closed.

    Raises:
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    match target:
        case LayoutFolder():
            from mealkit.stores.layout import read_layout

            yield read_layout(target.path, platform=platform)
        case ArchiveFile():
            from mealkit.stores.archive import read_archive

            yield read_archive(target.path, platform=platform)
        case RegistryReference():
            from mealkit.stores.registry.pull import RemoteImages
            from mealkit.stores.registry.reaching import Registries

            with Registries.from_environment() as registries:
                yield RemoteImages(registries).image(target.reference, platform)
        case _:
            assert_never(target)
