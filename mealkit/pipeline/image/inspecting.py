"""Lists the images in the local store, and describes an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.errors import MealkitError, Problem
from mealkit.oci.choosing import find_image, image_at, manifests_below
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.opening_images import open_source, this_platform
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.stores.local import LocalStore, StoredImage


@dataclass(frozen=True, slots=True)
class Inspection:
    """A description of an image: layers, labels, config, and the lock (None if it is not a kit)."""

    digest: str
    platform: str
    variants: tuple[tuple[str, str], ...]
    """The platform and digest of every image in its index; empty if it is not in an index."""
    layers: tuple[dict[str, Any], ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    config: dict[str, Any]
    lock: Lock | None
    problems: tuple[Problem, ...] | None


def images(home: Home) -> list[StoredImage]:
    """List the images in the local store."""
    return LocalStore(home.store).images()


def inspect(target: str, *, verify: bool, home: Home, progress: Progress) -> Inspection:
    """Describe an image in the store, ``oci:DIR``, ``oci-archive:FILE`` or a registry.

    For an index, the image for this machine is described, and the others are listed.
    With ``verify`` every byte is read and compared with its digest; all problems are returned.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: the image does not exist, or cannot be read.
    """
    with open_source(target, home, progress=progress) as (entries, source):
        image = find_image(entries, source, this_platform(), is_preference=True)
        found = manifests_below(entries, source)
        every = [image_at(item, source) for item in found] if verify else []
        problems = _verified(every, progress) if verify else None
        variants = [(str(item.platform or "unknown"), str(item.digest)) for item in found]
        return _inspection(image, variants, problems)


def _verified(images: Sequence[Image], progress: Progress) -> tuple[Problem, ...]:
    from mealkit.oci.validate import validate

    size_bytes = sum(layer.blob.size_bytes for image in images for layer in image.layers)
    task = progress.task("verifying", size_bytes)
    problems = tuple(problem for image in images for problem in validate(image, task.advance))
    task.done()
    return problems


def _inspection(
    image: Image, variants: Sequence[tuple[str, str]], problems: tuple[Problem, ...] | None
) -> Inspection:
    return Inspection(
        digest=str(image.digest),
        platform=str(image.platform),
        variants=tuple(variants) if len(variants) > 1 else (),
        layers=tuple(
            {**layer.descriptor.as_json(), "diffId": layer.diff_id, "createdBy": layer.created_by}
            for layer in image.layers
        ),
        labels=image.labels,
        annotations=image.annotations,
        config=image.config,
        lock=_lock_or_none(image),
        problems=problems,
    )


def _lock_or_none(image: Image) -> Lock | None:
    try:
        return lock_of(image)
    except MealkitError:
        return None
