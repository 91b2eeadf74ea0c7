"""Where a base image is: in a registry, an OCI layout, or an archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.kit.model import Base, ImageBase
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.opening import names_path, open_elsewhere
from mealkit.untrusted import shown


@contextmanager
def base_image(base: ImageBase, folder: Path, architecture: str) -> Iterator[Image]:
    """Open the base image of a kit; its layers can be read while it is open.

    Paths are relative to the kit's folder.

    Raises:
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    platform = Platform("linux", architecture)
    with open_elsewhere(base.reference, folder, platform) as image:
        yield image


def base_name(base: ImageBase) -> str:
    """Return the base's name as the lock may hold it: no registry's host, no local path."""
    text = base.reference
    if names_path(text):
        return Path(text.partition(":")[2]).name
    return Reference.parse(text).repository


def base_repositories(base: Base) -> tuple[str, ...]:
    """Return the repositories that a registry may mount the base's layers from."""
    if base.source == "debian" or names_path(base.reference):
        return ()
    return (Reference.parse(base.reference).repository,)


def dockerfile_reference(base: ImageBase, digest: Digest) -> str:
    """Return how a Dockerfile names the base, by digest.

    Raises:
        BuildError: it is a file or folder whose name no image can have (``BASE_INVALID``).
    """
    if names_path(base.reference):
        try:
            return str(Reference(None, base_name(base), digest=digest))
        except MealkitError as error:
            raise failure(
                "BASE_INVALID",
                f"a Dockerfile cannot name the base {shown(base.reference)}",
                hint="name it by lower case letters, digits and dashes, or use a registry's image",
                where="runtime.base.reference",
            ) from error
    reference = Reference.parse(base.reference)
    return f"{reference.name}@{digest}"
