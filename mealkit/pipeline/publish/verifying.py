"""Verifies who signed an image, in a registry, the local store, a layout or an archive.

Raises TrustError if no trusted signer has signed it, with a problem for each signature that does
not count.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, failures
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.choosing import Source
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.manifest import Manifest
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.opening_images import open_source, resolved
from mealkit.pipeline.publish.gathering import Gathered, Referrers, RepositoryReferrers, gather
from mealkit.pipeline.publish.signing import LOCAL
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
from mealkit.trust.keyless import Identity
from mealkit.trust.keyring import KeyRing
from mealkit.trust.verified import SIGNED, Verified

_MOST_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class Trusted:
    """Who is trusted, and whether a signature in the older layout is enough."""

    keys: KeyRing
    identities: tuple[Identity, ...] = ()
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """What trusted signers have signed about an image, and where that was found."""

    subject: Descriptor
    place: str
    verified: tuple[Verified, ...]
    refused: tuple[Problem, ...]

    @property
    def elsewhere(self) -> tuple[Verified, ...]:
        """Signatures in the older layout that podman refuses here: they name another place."""
        return tuple(one for one in self.verified if one.reference not in {None, self.place, ""})


@dataclass(frozen=True, slots=True)
class SignedImage:
    """An image or index, where it is, and what lists the artifacts about it."""

    subject: Descriptor
    place: str
    referrers: Referrers
    target: ImageTarget
    """The image by its digest, which no other process can move."""


def verify(target: str, trusted: Trusted, home: Home) -> Verification:
    """Verify that a trusted signer has signed an image; all else that is signed is returned too.

    Raises:
        KitError: the target is not an image (``TARGET_UNFIT``).
        TrustError: ``SIGNATURE_*``.
        RegistryError, StoreError: the image does not exist, or cannot be read.
    """
    with signed_image(target, home) as found:
        gathered = gather(
            found.subject,
            found.referrers,
            trusted.keys,
            trusted.identities,
            legacy=trusted.legacy,
        )
    require_signed(gathered, found.subject.digest, found.place)
    return Verification(found.subject, found.place, gathered.verified, gathered.refused)


def require_signed(gathered: Gathered, subject: Digest, place: str) -> None:
    """Check that a trusted signer has signed an image itself; a statement about it is not enough.

    Raises:
        TrustError: ``SIGNATURE_*``, one problem for each signature that does not count.
    """
    if any(one.predicate_type == SIGNED for one in gathered.verified):
        return
    if gathered.refused:
        raise failures(list(gathered.refused))
    message = f"{subject} in {place} has no signature"
    if gathered.verified:
        kinds = ", ".join(sorted({one.predicate_type for one in gathered.verified}))
        message += f", only signed statements: {kinds}"
    raise failure("SIGNATURE_MISSING", message, where=place)


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
                subject = _only_image(entries, found.text)
                yield SignedImage(subject, found.text, _Listed(tuple(entries), source), found)
        case other:
            assert_never(other)


@dataclass(frozen=True, slots=True)
class _Listed:
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


def _only_image(entries: Sequence[Descriptor], where: str) -> Descriptor:
    images = [item for item in entries if item.artifact_type is None]
    if len(images) == 1:
        return images[0]
    message = f"{where} has {len(images)} images, expected one"
    raise failure("IMAGE_NOT_FOUND", message, where=where)
