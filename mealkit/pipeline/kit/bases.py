"""Opens the base image of a kit: in a registry, an OCI layout, or an archive."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import KitError, MealkitError, StoreError, failure
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.files import image_path
from mealkit.kit.search import Search, TooManyError
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.opening_images import open_elsewhere
from mealkit.pipeline.targets import RegistryReference, base_named
from mealkit.recipe.kit import Base, ImageBase
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_base import LockedBase, LockedImageBase
from mealkit.recipe.variant import plain_locks
from mealkit.untrusted import shown


@contextmanager
def base_image(base: ImageBase, folder: Path, bounds: Bounds, architecture: str) -> Iterator[Image]:
    """Open the base image of a kit; its layers can be read while it is open.

    Paths are relative to the kit's folder.

    Raises:
        KitError: its path is outside the kit's bounds (``KIT_PATH_OUTSIDE``).
        StoreError, RegistryError: the image does not exist, or cannot be read.
    """
    named = base_named(base.reference, folder)
    if not isinstance(named, RegistryReference):
        try:
            _require_inside(named.path, bounds)
        except OutsideError as error:
            raise KitError(error.as_problem(base.reference, "runtime.base")) from error
        except (OSError, ValueError, TooManyError) as error:
            message = f"{base.reference} cannot be followed: {error}"
            raise failure("IMAGE_NOT_FOUND", message, where="runtime.base") from error
    with open_elsewhere(named, Platform("linux", architecture)) as image:
        yield image


def _require_inside(path: Path, bounds: Bounds) -> None:
    """Raise if any file of the image is outside the bounds: a layout's blobs may be links."""
    bounds.resolve(path)
    if path.is_dir():
        for name in Search(path, bounds).files():
            bounds.resolve(path / name)


def locked_base(
    base: ImageBase, folder: Path, bounds: Bounds, architecture: str
) -> LockedImageBase:
    """Return what a lock says of a base image.

    Raises:
        KitError, StoreError, RegistryError: as ``base_image``.
    """
    with base_image(base, folder, bounds, architecture) as image:
        return LockedImageBase(
            name=base_name(base),
            digest=image.digest,
            size_bytes=sum(layer.blob.size_bytes for layer in image.layers),
            glibc=base.glibc,
        )


def changed_bases(
    base: ImageBase, folder: Path, bounds: Bounds, lock: Lock
) -> dict[str, LockedBase]:
    """Return, by architecture, a base image on this machine if it is not the locked one.

    One that cannot be read is left out: what needs it says so.

    Raises:
        KitError: its path is outside the kit's bounds (``KIT_PATH_OUTSIDE``).
    """
    found: dict[str, LockedBase] = {}
    for plain in plain_locks(lock):
        before, architecture = plain.runtime.base, plain.runtime.architecture
        if isinstance(before, LockedImageBase):  # else the lock is not this kit's
            with suppress(StoreError):
                now = locked_base(base, folder, bounds, architecture)
                if now.digest != before.digest:
                    found[architecture] = now
    return found


def base_name(base: ImageBase) -> str:
    """Return the base's name for the lock, without the registry's host and without a local path."""
    path = image_path(base.reference)
    return Reference.parse(base.reference).repository if path is None else Path(path).name


def base_repositories(base: Base) -> tuple[str, ...]:
    """Return the repositories that a registry may mount the base's layers from."""
    if base.source == "debian" or image_path(base.reference) is not None:
        return ()
    return (Reference.parse(base.reference).repository,)


def dockerfile_reference(base: ImageBase, digest: Digest) -> str:
    """Return how a Dockerfile names the base, by digest.

    Raises:
        BuildError: the name of its file or folder is not valid for an image (``BASE_INVALID``).
    """
    if image_path(base.reference) is not None:
        try:
            return str(Reference(None, base_name(base), digest=digest))
        except MealkitError as error:
            raise failure(
                "BASE_INVALID",
                f"a Dockerfile cannot name the base {shown(base.reference)}",
                hint="rename it to lower case letters, digits and dashes, or use a registry",
                where="runtime.base.reference",
            ) from error
    reference = Reference.parse(base.reference)
    return f"{reference.name}@{digest}"
