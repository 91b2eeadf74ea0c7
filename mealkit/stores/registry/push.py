"""Pushes an image, an index or an artifact to a registry: blobs first, the manifest last.

Existing blobs are not sent again. Raises RegistryError if the registry states another digest than
the image's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.jobs import Stop, side_by_side
from mealkit.oci.image import Blob, Content, with_parts
from mealkit.oci.reference import Reference
from mealkit.progress import Advance, silent
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.manifests import put_manifest
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.session import PIECE_BYTES
from mealkit.stores.registry.upload import Outcome, Uploader

# More do not help: a registry hashes each on one core, and a network is full with fewer.
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class PushedBlob:
    """A layer or a config, and how it got into the repository."""

    digest: Digest
    size_bytes: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class PushReport:
    """The result of a push: the digest of the manifest or index, its layers, then its configs."""

    digest: Digest
    blobs: tuple[PushedBlob, ...]
    manifest: Outcome

    @property
    def sent_bytes(self) -> int:
        """The size of all blobs that were uploaded."""
        blobs = {item.digest: item for item in self.blobs}.values()
        return sum(item.size_bytes for item in blobs if item.outcome is Outcome.UPLOADED)


def push(
    content: Content,
    reference: Reference,
    registries: Registries,
    *,
    mount_from: Sequence[str] = (),
    advance: Advance = silent,
    piece_bytes: int = PIECE_BYTES,
) -> PushReport:
    """Push to a registry under a reference's tag (``latest`` if it has none) or digest.

    Images in an index are pushed before it, by their digests.

    ``mount_from`` are repositories in the same registry that may have some of the layers; the
    repositories that layers were read from are added automatically. ``advance`` is called with the
    layers' bytes, sent or already there. A registry that refuses complete blobs gets pieces of
    ``piece_bytes``. Uploads that a killed push left go on, if ``registries`` has their records.

    Raises:
        RegistryError: ``REGISTRY_*``.
        SourceError: ``SOURCE_CHANGED``: a layer's source has changed.
        StoreError: ``REFERENCE_INVALID``: it has no registry, or a digest that is not the image's.
    """
    client = registries.client(reference)
    digest = content.descriptor.digest
    if reference.digest not in {None, digest}:
        raise failure(
            "REFERENCE_INVALID",
            f"{reference} cannot name an image with digest {digest}",
            hint="leave the digest out of the reference",
        )
    repository = client.endpoint.repository(reference.repository)
    layers = [blob for item in with_parts(content) for blob in item.blobs[:-1]]
    configs = [blob for item in with_parts(content) for blob in item.blobs[-1:]]
    sources = (*mount_from, *_repositories_of(layers, reference.registry))
    stop = Stop()
    told, kept = stop.guarded(advance), registries.unfinished
    uploader = Uploader(client, repository, sources, told, piece_bytes, stop, kept)
    outcomes = _put_all(layers, uploader)
    for blob in configs:
        outcomes[blob.digest] = replace(uploader, advance=silent).put(blob)
    for part in content.parts:
        for item in with_parts(part):
            put_manifest(client, reference, item, item.descriptor.digest)
    name = reference.tag or reference.digest or "latest"
    manifest = put_manifest(client, reference, content, name)
    return PushReport(
        digest, tuple(_pushed(blob, outcomes) for blob in (*layers, *configs)), manifest
    )


def _pushed(blob: Blob, outcomes: dict[Digest, Outcome]) -> PushedBlob:
    return PushedBlob(blob.digest, blob.size_bytes, outcomes[blob.digest])


def _repositories_of(blobs: Sequence[Blob], registry: str | None) -> list[str]:
    return [
        blob.repository
        for blob in blobs
        if isinstance(blob, RegistryBlob) and blob.registry == registry
    ]


def _put_all(blobs: Sequence[Blob], uploader: Uploader) -> dict[Digest, Outcome]:
    """Push blobs, a few in parallel; the first failure stops the others."""
    by_digest = {blob.digest: blob for blob in blobs}
    outcomes = side_by_side(
        uploader.put, list(by_digest.values()), threads=_AT_ONCE, stop=uploader.stop
    )
    # The caller added up the sizes of all blobs, so a blob that occurs twice counts twice.
    uploader.advance(
        sum(b.size_bytes for b in blobs) - sum(b.size_bytes for b in by_digest.values())
    )
    return dict(zip(by_digest, outcomes, strict=True))
