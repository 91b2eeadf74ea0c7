"""Pushes a kit, or an image that exists, with everything that the local store has about it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from mealkit.assembly.lean import lean_image
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.choosing import content_at
from mealkit.oci.image import Image, with_parts
from mealkit.oci.index import ImageIndex, index_of
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.image_lock import kit_layer, lock_of
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.image.uploading import Uploaded, upload
from mealkit.pipeline.kit.bases import base_repositories
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.kit.placeholder_checks import (
    require_locked_without,
    require_no_placeholder,
)
from mealkit.pipeline.opening_images import open_source
from mealkit.pipeline.publish.packing import PackPlace, packed, push_modelpack, weights_repositories
from mealkit.pipeline.signatures.signing import sign_before_push
from mealkit.pipeline.targets import (
    ArchiveFile,
    KitFolder,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    kit_or_image_named,
    registry_named,
)
from mealkit.progress import Progress
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.companions import Companion, stored_companions
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.signing_keys import SigningKey


@dataclass(frozen=True, slots=True)
class PushRequest:
    """The arguments and options."""

    target: str
    reference: str
    lean: bool = False
    """Leave the weights out, which are delivered otherwise."""
    replaces: bool = False
    frozen: bool = False
    allowed: Sequence[Path] = ()
    signer: SigningKey | None = None
    """Signs the image before its tag is written, and the ModelPack."""
    modelpack: bool = False
    """Push the weights as a ModelPack, too, which refers to the image."""


def push_target(request: PushRequest, home: Home, progress: Progress) -> Uploaded:
    """Push what a target names to a reference; a kit is built first.

    Raises:
        KitError: the kit has an example's owner or licence (``KIT_PLACEHOLDER``).
        MealkitError: the kit or the image cannot be read, or ``upload`` fails.
    """
    place = registry_named(request.reference)
    with _opened(request, home, progress) as (content, mount_from):
        chosen = lean_content(content) if request.lean else content
        store = LocalStore(home.store)
        attached = Attached(store)
        if request.signer is not None:
            sign_before_push(chosen.descriptor, [place.reference], request.signer, home)
        companions = stored_companions(attached, _digests(chosen))
        if chosen.digest != content.digest and (
            left := stored_companions(attached, _digests(content))
        ):
            progress.phase(
                f"note: {len(left)} artifacts are about the full image {content.digest}, such as"
                f" signatures, and are not pushed; the lean image is {chosen.digest}"
            )
        with Registries.from_environment(uploads=home.uploads) as registries:
            done = upload(
                chosen,
                place.reference,
                registries,
                progress,
                companions=companions,
                mount_from=mount_from,
                replaces=request.replaces,
            )
            if not request.modelpack:
                return done
            pack = packed(content, chosen.descriptor)
            sources = (*mount_from, *weights_repositories(content))
            beside = PackPlace(place.reference, registries, sources)
            sent = push_modelpack(pack, beside, store, progress, request.signer)
            return replace(
                done,
                sent_bytes=done.sent_bytes + sent.sent_bytes,
                companions=(*done.companions, Companion(pack, chosen.digest)),
            )


def lean_content(content: Image | ImageIndex) -> Image | ImageIndex:
    """Return an image, or every image of an index, without the layers of weights."""
    if isinstance(content, Image):
        return lean_image(content)
    return index_of([lean_image(image) for image in content.images], content.annotations)


def _digests(content: Image | ImageIndex) -> list[Digest]:
    return [item.descriptor.digest for item in with_parts(content)]


def _require_no_placeholder(content: Image | ImageIndex, name: str) -> None:
    """Raise if an image was built from a kit with an example's owner or licence."""
    for image in content.images if isinstance(content, ImageIndex) else (content,):
        if kit_layer(image) is not None:
            require_locked_without(lock_of(image), name)


@contextmanager
def _opened(
    request: PushRequest, home: Home, progress: Progress
) -> Iterator[tuple[Image | ImageIndex, Sequence[str]]]:
    """Open the content to push; also yield repositories that may have its layers."""
    match kit_or_image_named(request.target):
        case KitFolder() as kit:
            require_no_placeholder(open_kit(kit, home, request.allowed, progress))
            report = build_kit(
                kit.text,
                frozen=request.frozen,
                outputs=Outputs(),
                home=home,
                progress=progress,
                allowed=request.allowed,
                taken=Taken.REPLACED if request.replaces else Taken.REFUSED,
            )
            base = open_kit(kit, home, request.allowed, progress).parts.kit.runtime.base
            yield LocalStore(home.store).content(str(report.digest)), base_repositories(base)
        case StoredName() | StoredDigest() | LayoutFolder() | ArchiveFile() as image:
            with open_source(image, home, progress=progress) as (entries, source):
                (found,) = entries
                content = content_at(found, source)
                _require_no_placeholder(content, image.text)
                yield content, ()
        case RegistryReference() as elsewhere:
            raise failure(
                "TARGET_UNFIT",
                f"{elsewhere.text} is in a registry",
                where=elsewhere.text,
                hint=f"mealkit copy {elsewhere.text} {request.reference}",
            )
        case other:
            assert_never(other)
