"""Packs the weights of a kit's image as a ModelPack, and pushes it next to the image.

Nothing is copied: the files are ranges of the image's layers, which in the local store are the
verified files themselves. Blobs that the registry has are not sent again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.assembly.model_pack import model_pack
from mealkit.errors import failure
from mealkit.oci.artifact import Artifact
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Image
from mealkit.oci.index import ImageIndex
from mealkit.oci.layer_files import FileInLayer
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.weights_in_image import weights_in_image
from mealkit.pipeline.signatures.signing import sign_in_registry
from mealkit.pipeline.targets import registry_named
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.origins import OciOrigin
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.layer_limits import require_fits
from mealkit.stores.registry.push import PushReport
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import attach
from mealkit.trust.signing_keys import SigningKey
from mealkit.units import show_size


def packed(content: Image | ImageIndex, subject: Descriptor | None = None) -> Artifact:
    """Return the ModelPack of a kit's image or index.

    ``subject`` is what it refers to: by default the image or index, else the lean one of it.

    Raises:
        StoreError: it is not a kit's image; its weights are not in it (``IMAGE_INVALID``).
        KitError: ``WEIGHTS_CLASH``.
    """
    # The images of an index have the same weights, and each the lock of its own architecture.
    image = content.images[0] if isinstance(content, ImageIndex) else content
    lock = lock_of(image)
    return model_pack(lock, _files_of(image, lock), subject or content.descriptor)


def weights_repositories(content: Image | ImageIndex) -> tuple[str, ...]:
    """Return the repositories that the weights came from, which may have the same blobs.

    Raises:
        StoreError, LockError: as ``lock_of`` does.
    """
    lock = lock_of(content.images[0] if isinstance(content, ImageIndex) else content)
    origins = (origin for file in lock.model.files for origin in file.origins)
    found = (origin.repository for origin in origins if isinstance(origin, OciOrigin))
    return tuple(dict.fromkeys(found))


def push_modelpacks(
    digest: str,
    references: Sequence[str],
    home: Home,
    progress: Progress,
    signer: SigningKey | None = None,
) -> tuple[str, ...]:
    """Push the ModelPack of a stored image next to each place it was pushed to; a line for each.

    Raises:
        MealkitError: as ``push_modelpack`` does.
    """
    store = LocalStore(home.store)
    content = store.content(digest)
    artifact, mount_from, lines = packed(content), weights_repositories(content), []
    with Registries.from_environment() as registries:
        for reference in [registry_named(text).reference for text in dict.fromkeys(references)]:
            place = PackPlace(reference, registries, mount_from)
            report = push_modelpack(artifact, place, store, progress, signer)
            mount_from = (*mount_from, reference.repository)
            lines.append(
                f"ModelPack pushed to {reference.name}@{report.digest}"
                f" ({show_size(report.sent_bytes)} sent)"
            )
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class PackPlace:
    """Where a ModelPack goes: the repository of a reference, to which its subject was pushed.

    ``mount_from`` are repositories in the same registry that may have its blobs.
    """

    reference: Reference
    registries: Registries
    mount_from: Sequence[str] = ()


def push_modelpack(
    artifact: Artifact,
    place: PackPlace,
    store: LocalStore,
    progress: Progress,
    signer: SigningKey | None = None,
) -> PushReport:
    """Push a ModelPack next to its subject; with a signer, sign it there, too.

    Those who mount it never see the image and its signature.

    Raises:
        RegistryError: ``LAYER_TOO_LARGE``, before anything is sent; ``REGISTRY_*``.
        StoreError, SourceError: a file of the model cannot be read, or changed.
    """
    reference, registries = place.reference, place.registries
    require_fits(artifact, registries.client(reference).endpoint)
    size_bytes = sum(blob.size_bytes for blob in artifact.blobs[:-1])
    task = progress.task(f"pushing the ModelPack of {reference}", size_bytes)
    report = attach(
        artifact, reference, registries, mount_from=place.mount_from, advance=task.advance
    )
    task.done()
    if signer is not None:
        sign_in_registry(artifact.descriptor, reference, signer, registries, store)
    return report


def _files_of(image: Image, lock: Lock) -> dict[str, FileInLayer]:
    """Return the model's files in an image by their path below /models."""
    found = weights_in_image(image, lock.model.files)
    missing = sorted({file.path for file in lock.model.files} - set(found))
    if missing:
        raise failure(
            "IMAGE_INVALID",
            f"{image.digest} does not contain {missing[0]}, so no ModelPack can be made of it",
            hint="use the image with weights that mealkit build made, not a lean or compressed one",
        )
    return found
