"""Opens the image or index of a kit as what statements are about: one digest, all its images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mealkit.errors import failure
from mealkit.oci.choosing import Source, image_at, manifests_below, only_entry
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.opening_images import open_source
from mealkit.pipeline.targets import ImageTarget
from mealkit.progress import SILENT, Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import joined


@dataclass(frozen=True, slots=True)
class KitImage:
    """A kit's image or index while it is open: the digest that a signature is about."""

    subject: Descriptor
    """The image's manifest, or the index of the images for several architectures."""
    images: tuple[Image, ...]
    lock: Lock
    """The lock from inside, with all architectures."""
    source: Source

    @property
    def created_seconds(self) -> int:
        """The time of everything in the images: SOURCE_DATE_EPOCH of the build, or 0."""
        return self.images[0].created_seconds


@contextmanager
def open_kit_image(
    target: str | ImageTarget, home: Home, progress: Progress = SILENT
) -> Iterator[KitImage]:
    """Open an image or index wherever it is, with its lock; layers are read while it is open.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: it does not exist, cannot be read, or is not a kit's.
        LockError: the locks inside cannot be read, or are not those of one kit.
    """
    with open_source(target, home, progress=progress) as (entries, source):
        subject = only_entry(entries, source.where)
        found = manifests_below([subject], source)
        images = tuple(image_at(item, source) for item in found)
        if not images:
            raise failure("IMAGE_NOT_FOUND", f"{source.where} has no image", where=source.where)
        lock = joined([lock_of(image) for image in images])
        yield KitImage(subject, images, lock, source)
