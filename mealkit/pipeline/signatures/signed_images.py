"""Opens an image where it is, with what lists the artifacts about it, and attaches others to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.choosing import Source, only_entry
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.manifest import Manifest
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.opening_images import open_source, resolved
from mealkit.pipeline.signatures.gathering import Referrers, RepositoryReferrers
from mealkit.pipeline.targets import (
    ArchiveFile,
    ImageTarget,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    image_named,
)
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore

LOCAL = "the local store"
"""The name of the local store as a place."""

_MOST_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class SignedImage:
    """An image or index, where it is, and what lists the artifacts about it."""

    subject: Descriptor
    place: str
    referrers: Referrers
    target: ImageTarget
    """The image by its digest, which no other process can move."""


@contextmanager
def signed_image(text: str, home: Home) -> Iterator[SignedImage]:
    """Open an image or index with the artifacts about it; a registry stays connected.

    An image in a registry is read there, and not from the local store.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        RegistryError, StoreError: the image does not exist, or cannot be read.
    """
    match resolved(image_named(text), home):
        case StoredName() | StoredDigest() as found:
            store = LocalStore(home.store)
            subject = store.resolve(found.text)
            yield SignedImage(subject, LOCAL, Attached(store), StoredDigest(subject.digest))
        case RegistryReference(reference=reference):
            from mealkit.stores.registry.manifests import get_manifest
            from mealkit.stores.registry.reaching import Registries
            from mealkit.stores.registry.referrers import RegistryReferrers

            with Registries.from_environment() as registries:
                clients = registries.sources(reference)
                name = reference.digest or reference.tag or "latest"
                subject = get_manifest(clients, reference, name).descriptor
                referrers = RepositoryReferrers(RegistryReferrers(clients, reference))
                pinned = Reference(reference.registry, reference.repository, digest=subject.digest)
                target = RegistryReference(str(pinned), pinned)
                yield SignedImage(subject, reference.name, referrers, target)
        case LayoutFolder() | ArchiveFile() as found:
            with open_source(found, home) as (entries, source):
                subject = only_entry(entries, found.text)
                artifacts = ListedArtifacts((*entries, *source.attached), source)
                yield SignedImage(subject, found.text, artifacts, found)
        case other:
            assert_never(other)


def attach_to(image: SignedImage, artifact: Artifact, home: Home) -> None:
    """Attach an artifact to an image where it is, and in the local store if it is there, too.

    Raises:
        RegistryError: ``REGISTRY_*``.
        StoreError: the store cannot be written.
    """
    store = LocalStore(home.store)
    if isinstance(image.target, RegistryReference):
        from mealkit.stores.registry.reaching import Registries
        from mealkit.stores.registry.referrers import attach

        with Registries.from_environment() as registries:
            attach(artifact, image.target.reference, registries)
    if image.subject.digest in store.index().images():
        Attached(store).add(artifact)


@dataclass(frozen=True, slots=True)
class ListedArtifacts:
    """The artifacts in an OCI layout or archive, whose index lists images and artifacts alike."""

    entries: tuple[Descriptor, ...]
    source: Source

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the artifacts that name the manifest as their subject."""
        return tuple(
            item
            for item in self.entries[:_MOST_ENTRIES]
            if item.artifact_type is not None
            and artifact_type in {None, item.artifact_type}
            and self._subject(item) == subject
        )

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return an artifact."""
        return read_artifact(self.source.read(listed), self.source.blob_of)

    def _subject(self, item: Descriptor) -> Digest | None:
        try:
            found = Manifest.read(self.source.read(item), item.media_type).subject
        except MealkitError:
            return None  # an index, or damaged: not a signature
        return found.digest if found else None
