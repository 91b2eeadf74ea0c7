"""An image into a registry: blobs first, several at a time, the manifest last.

What is there already is not sent again. Refuses to call it done when the registry states another
digest than the image's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.jobs import Stop, side_by_side
from mealkit.oci.image import Blob, BytesBlob, Image
from mealkit.oci.reference import Reference
from mealkit.progress import Advance, silent
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import RegistryCall
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.session import PIECE_BYTES
from mealkit.stores.registry.upload import Outcome, Uploader

# More do not help: a registry hashes each on one core, and a network is full with fewer.
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class PushedBlob:
    """One layer or the config, and how it came to be in the repository."""

    digest: Digest
    size_bytes: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did: the manifest's digest, the layers lowest first, the config."""

    digest: Digest
    layers: tuple[PushedBlob, ...]
    config: PushedBlob
    manifest: Outcome

    @property
    def sent_bytes(self) -> int:
        """The size of all blobs that were uploaded."""
        blobs = {item.digest: item for item in (*self.layers, self.config)}.values()
        return sum(item.size_bytes for item in blobs if item.outcome is Outcome.UPLOADED)


def push(
    image: Image,
    reference: Reference,
    registries: Registries,
    *,
    mount_from: Sequence[str] = (),
    advance: Advance = silent,
    piece_bytes: int = PIECE_BYTES,
) -> PushReport:
    """Put an image into a registry under a reference's tag (``latest`` if it has none) or digest.

    ``mount_from`` are repositories of the same registry that may have some of the layers; those
    that layers were read from need not be named. ``advance`` is told the
    layers' bytes, sent or found there. A registry that refuses whole blobs gets pieces of
    ``piece_bytes``.

    Raises:
        RegistryError: ``REGISTRY_*``.
        SourceError: ``SOURCE_CHANGED``: a layer's source is not what it was.
        StoreError: ``REFERENCE_INVALID``: no registry, or a digest that is not the image's.
    """
    client = registries.client(reference)
    if reference.digest not in {None, image.digest}:
        raise failure(
            "REFERENCE_INVALID",
            f"{reference} cannot name an image with digest {image.digest}",
            hint="leave the digest out of the reference",
        )
    repository = client.endpoint.repository(reference.repository)
    blobs = [layer.blob for layer in image.layers]
    sources = (*mount_from, *_repositories_of(blobs, reference.registry))
    stop = Stop()
    uploader = Uploader(client, repository, sources, stop.guarded(advance), piece_bytes, stop)
    outcomes = _put_all(blobs, uploader)
    config = BytesBlob(image.raw_config)
    outcomes[config.digest] = replace(uploader, advance=silent).put(config)
    manifest = _put_manifest(image, reference, client)
    layers = tuple(_pushed(blob, outcomes) for blob in blobs)
    return PushReport(image.digest, layers, _pushed(config, outcomes), manifest)


def _pushed(blob: Blob, outcomes: dict[Digest, Outcome]) -> PushedBlob:
    return PushedBlob(blob.digest, blob.size_bytes, outcomes[blob.digest])


def _repositories_of(blobs: Sequence[Blob], registry: str | None) -> list[str]:
    return [
        blob.repository
        for blob in blobs
        if isinstance(blob, RegistryBlob) and blob.registry == registry
    ]


def _put_all(blobs: Sequence[Blob], uploader: Uploader) -> dict[Digest, Outcome]:
    """Put blobs, a few at a time; the first failure stops the others."""
    by_digest = {blob.digest: blob for blob in blobs}
    outcomes = side_by_side(
        uploader.put, list(by_digest.values()), threads=_AT_ONCE, stop=uploader.stop
    )
    # A layer that stands twice in the image counts twice when the layers' sizes are added up.
    uploader.advance(
        sum(b.size_bytes for b in blobs) - sum(b.size_bytes for b in by_digest.values())
    )
    return dict(zip(by_digest, outcomes, strict=True))


def _put_manifest(image: Image, reference: Reference, client: RegistryClient) -> Outcome:
    """Put the manifest, unless the name already means it (some registries freeze their tags)."""
    repository = client.endpoint.repository(reference.repository)
    path = f"/v2/{repository}/manifests/{reference.tag or reference.digest or 'latest'}"
    scopes = (f"repository:{repository}:pull,push",)
    known = client.send(RegistryCall("HEAD", path, scopes, {"Accept": image.media_type}))
    if known.status == 200 and known.headers.get("docker-content-digest") == image.digest:
        return Outcome.EXISTING
    headers = {"Content-Type": image.media_type, "Content-Length": str(len(image.raw_manifest))}
    answer = client.send(RegistryCall("PUT", path, scopes, headers, lambda: (image.raw_manifest,)))
    if answer.status not in {200, 201, 202}:
        raise client.refusal(f"PUT manifest {image.digest} of {repository}", answer)
    said = answer.headers.get("docker-content-digest")
    if said and said.startswith("sha256:") and said != image.digest:
        raise failure(
            "REGISTRY_DIGEST",
            f"{client.endpoint.registry} took {image.digest} and calls it {said}",
            where=client.endpoint.registry,
        )
    return Outcome.UPLOADED
