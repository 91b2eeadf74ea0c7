"""Images that a policy decides about: built here, in the store, or where they were opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mealkit.oci.choosing import Source, find_image, manifests_below
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.image import Image
from mealkit.oci.index import ImageIndex
from mealkit.oci.reference import Reference
from mealkit.pipeline.image.keeping_companions import keep_companions
from mealkit.pipeline.opening_images import Opened, this_platform
from mealkit.pipeline.signatures.gathering import Referrers, RepositoryReferrers
from mealkit.pipeline.signatures.signed_images import ListedArtifacts
from mealkit.progress import Progress
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.web.retry import Retry

if TYPE_CHECKING:
    from mealkit.stores.registry.reaching import Registries


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that a policy decides about, and where its signatures are."""

    name: str
    """The image, as the caller named it."""
    image: Image
    indexes: Callable[[], tuple[Descriptor, ...]]
    """Returns the indexes that list it: a signature of one covers the image."""
    referrers: Referrers | None
    """The artifacts about it; None for a kit that this command builds."""
    reference: Reference | None = None
    """The place in a registry that it comes from; None: it comes from this machine."""
    refresh: Callable[[Progress], None] | None = None
    """Fetches signatures that its registry got later; None: there are no others."""
    read: Callable[[Descriptor], bytes] | None = None
    """Reads the bytes of the indexes, if they are not in the local store."""

    @property
    def subjects(self) -> tuple[Descriptor, ...]:
        """The manifests whose signatures count: that of the image, and those of its indexes."""
        every = (*self.indexes(), self.image.descriptor)
        return tuple({item.digest: item for item in every}.values())


def built_candidate(name: str, image: Image) -> Candidate:
    """Return the image of a kit that this command has built as a candidate."""
    return Candidate(name, image, tuple, None)


def stored_candidate(
    name: str, image: Image, store: LocalStore, reference: Reference | None = None
) -> Candidate:
    """Return a stored image as a candidate: the signatures count that are stored with it."""
    attached = Attached(store)

    def indexes() -> tuple[Descriptor, ...]:
        return attached.indexes(image.digest)

    def refresh(progress: Progress) -> None:
        from mealkit.stores.registry.reaching import Registries

        if reference is not None:
            subjects = (image.digest, *(item.digest for item in indexes()))
            with Registries.from_environment(retry=Retry(attempts=2)) as registries, store.use():
                keep_companions(subjects, reference, registries, store, progress)

    again = refresh if reference else None
    return Candidate(name, image, indexes, attached, reference, again)


def opened_candidate(
    name: str,
    opened: Opened,
    referrers: Referrers | None = None,
    reference: Reference | None = None,
    platform: Platform | None = None,
) -> Candidate:
    """Return an opened image as a candidate; by default with the artifacts that lie beside it."""
    entries, source = opened
    image = find_image(entries, source, platform or this_platform(), is_preference=True)
    return Candidate(
        name,
        image,
        lambda: indexes_with((*entries, *source.attached), source, image),
        referrers or ListedArtifacts((*entries, *source.attached), source),
        reference,
        read=source.read,
    )


def keep_artifacts(candidate: Candidate, store: LocalStore) -> None:
    """Store the artifacts about an image beside it, so that it is accepted by its name as well.

    Raises:
        StoreError: an artifact is damaged; ``DISK_FULL``.
    """
    if candidate.referrers is None:
        return
    attached = Attached(store)
    for subject in candidate.subjects:
        if subject.digest != candidate.image.digest and candidate.read is not None:
            index = ImageIndex(candidate.read(subject), (candidate.image,), subject.media_type)
            attached.cover(index, [candidate.image.digest])
        for item in candidate.referrers.listed(subject.digest):
            attached.add(candidate.referrers.artifact(item), subject.digest)


def indexes_with(
    entries: Sequence[Descriptor], source: Source, image: Image
) -> tuple[Descriptor, ...]:
    """Return the entries that are the image, or list it."""
    return tuple(
        entry
        for entry in entries
        if image.digest in {item.digest for item in manifests_below([entry], source)}
    )


def referrers_at(reference: Reference, registries: "Registries") -> Referrers:
    """Return the artifacts about the images of a repository."""
    from mealkit.stores.registry.referrers import RegistryReferrers

    return RepositoryReferrers(RegistryReferrers(registries.sources(reference), reference))
