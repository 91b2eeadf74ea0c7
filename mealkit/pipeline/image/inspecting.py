"""Images, looked at: those of the local store listed, and any of them described."""

from dataclasses import dataclass
from typing import Any

from mealkit.errors import MealkitError, Problem
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.opening_images import open_image
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.stores.local import LocalStore, StoredImage


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an image is: its layers, labels, config, and the lock it carries (None: no kit's)."""

    digest: str
    layers: tuple[dict[str, Any], ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    config: dict[str, Any]
    lock: Lock | None
    problems: tuple[Problem, ...] | None


def images(home: Home) -> list[StoredImage]:
    """List the images of the local store."""
    return LocalStore(home.store).images()


def inspect(target: str, *, verify: bool, home: Home, progress: Progress) -> Inspection:
    """Describe an image of the store, ``oci:DIR``, ``oci-archive:FILE`` or a registry.

    With ``verify`` every byte is read and compared with its digest; what is wrong is returned.

    Raises:
        KitError: what is named is not an image (``TARGET_UNFIT``).
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    with open_image(target, home) as image:
        problems = _verified(image, progress) if verify else None
        return _inspection(image, problems)


def _verified(image: Image, progress: Progress) -> tuple[Problem, ...]:
    from mealkit.oci.validate import validate

    task = progress.task("verifying", sum(layer.blob.size_bytes for layer in image.layers))
    problems = tuple(validate(image, task.advance))
    task.done()
    return problems


def _inspection(image: Image, problems: tuple[Problem, ...] | None) -> Inspection:
    return Inspection(
        digest=str(image.digest),
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
