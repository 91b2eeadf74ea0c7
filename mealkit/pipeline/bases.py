"""Where a base image is: in a registry, an OCI layout, or an archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.digest import Digest
from mealkit.kit.model import Base, ImageBase
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference

_LAYOUT, _ARCHIVE = "oci:", "oci-archive:"


@contextmanager
def base_image(base: ImageBase, folder: Path, architecture: str) -> Iterator[Image]:
    """Open the base image of a kit; its layers can be read while it is open.

    Paths are relative to the kit's folder.

    Raises:
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    text = base.reference
    platform = Platform("linux", architecture)
    if text.startswith(_LAYOUT):
        from mealkit.stores.layout import read_layout

        yield read_layout(folder / text.removeprefix(_LAYOUT), platform=platform)
    elif text.startswith(_ARCHIVE):
        from mealkit.stores.archive import read_archive

        yield read_archive(folder / text.removeprefix(_ARCHIVE), platform=platform)
    else:
        from mealkit.stores.registry.access import Registries
        from mealkit.stores.registry.pull import RemoteImages

        with Registries.from_environment() as registries:
            yield RemoteImages(registries).image(Reference.parse(text), platform)


def base_name(base: ImageBase) -> str:
    """Return the base's name as the lock may hold it: no registry's host, no local path."""
    text = base.reference
    if text.startswith((_LAYOUT, _ARCHIVE)):
        return Path(text.partition(":")[2]).name
    return Reference.parse(text).repository


def base_repositories(base: Base) -> tuple[str, ...]:
    """Return the repositories that a registry may mount the base's layers from."""
    if base.source == "debian" or base.reference.startswith((_LAYOUT, _ARCHIVE)):
        return ()
    return (Reference.parse(base.reference).repository,)


def dockerfile_reference(base: ImageBase, digest: Digest) -> str:
    """Return how a Dockerfile names the base, by digest."""
    if base.reference.startswith((_LAYOUT, _ARCHIVE)):
        return f"{base_name(base)}@{digest}"
    reference = Reference.parse(base.reference)
    return f"{reference.name}@{digest}"
