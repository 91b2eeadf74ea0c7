"""Opens the image that a target names, wherever it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import assert_never

from mealkit.errors import MealkitError
from mealkit.oci.choosing import Source, find_image
from mealkit.oci.descriptor import Descriptor, Platform
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
from mealkit.preflight.cpu import architecture
from mealkit.stores.local import LocalStore

Opened = tuple[Sequence[Descriptor], Source]
"""The image or index that a target names, and the reader of its bytes."""


@contextmanager
def open_image(
    target: str | ImageTarget, home: Home, platform: Platform | None = None
) -> Iterator[Image]:
    """Open an image; its layers can be read while it is open.

    An image in a registry is taken from the local store if it is there. From an index, the image
    for ``platform`` is opened, by default this machine's.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: the image does not exist, or cannot be read.
    """
    with open_source(target, home) as (entries, source):
        yield find_image(entries, source, platform or this_platform(), is_preference=True)


@contextmanager
def open_source(target: str | ImageTarget, home: Home) -> Iterator[Opened]:
    """Open the image or index without choosing a platform; otherwise like ``open_image``."""
    found = image_named(target) if isinstance(target, str) else target
    match found:
        case StoredName() | StoredDigest():
            yield LocalStore(home.store).opened(found.text)
        case RegistryReference() if (stored := _stored(found, home)) is not None:
            yield stored
        case RegistryReference() | LayoutFolder() | ArchiveFile():
            with _opened_elsewhere(found) as opened:
                yield opened
        case _:
            assert_never(found)


def this_platform() -> Platform:
    """Return the platform of this machine's images."""
    return Platform("linux", architecture())


def stored_image(
    target: RegistryReference, home: Home, platform: Platform | None = None
) -> Image | None:
    """Return the image in the local store with the name of a registry's image, or None.

    Raises:
        StoreError: the store cannot be read.
    """
    opened = _stored(target, home)
    if opened is None:
        return None
    return find_image(*opened, platform or this_platform(), is_preference=True)


def _stored(target: RegistryReference, home: Home) -> Opened | None:
    try:
        return LocalStore(home.store).opened(target.text)
    except MealkitError as error:
        if error.problems[0].code != "IMAGE_NOT_FOUND":
            raise
        return None


@contextmanager
def open_elsewhere(target: ElsewhereTarget, platform: Platform | None = None) -> Iterator[Image]:
    """Open an image outside the local store; closing it also closes the registry's connection.

    Raises:
        StoreError, RegistryError: the image does not exist, or cannot be read.
    """
    with _opened_elsewhere(target) as (entries, source):
        yield find_image(entries, source, platform)


@contextmanager
def _opened_elsewhere(target: ElsewhereTarget) -> Iterator[Opened]:
    match target:
        case LayoutFolder():
            from mealkit.stores.layout import open_layout

            yield open_layout(target.path)
        case ArchiveFile():
            from mealkit.stores.archive import open_archive

            yield open_archive(target.path)
        case RegistryReference():
            from mealkit.stores.registry.pull import RemoteImages
            from mealkit.stores.registry.reaching import Registries

            with Registries.from_environment() as registries:
                yield RemoteImages(registries).opened(target.reference)
        case _:
            assert_never(target)
