"""Artifacts other than images: blobs of any type, and the manifest that they are about.

The rules are those of image-spec v1.1, "Guidelines for Artifact Usage" (manifest.md): an artifact
without its own config has the empty config and states its type; without blobs, it has an empty one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.descriptor import MANIFEST, Descriptor
from mealkit.oci.image import Blob, BytesBlob, Content
from mealkit.oci.manifest import Manifest

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = BytesBlob(b"{}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One blob of an artifact: a file, a signature, a statement."""

    media_type: str
    blob: Blob
    annotations: Mapping[str, str]

    @property
    def descriptor(self) -> Descriptor:
        """The blob's entry in the manifest."""
        return Descriptor(self.media_type, self.blob.digest, self.blob.size_bytes, self.annotations)


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact: the exact bytes of its manifest, and its blobs, with the config last."""

    raw_manifest: bytes
    blobs: tuple[Blob, ...]

    @property
    def digest(self) -> Digest:
        """The manifest's digest, which identifies the artifact."""
        return Digest.of(self.raw_manifest)

    @property
    def manifest(self) -> Manifest:
        """The content of the manifest."""
        return Manifest.read(self.raw_manifest, MANIFEST)

    @property
    def descriptor(self) -> Descriptor:
        """The artifact's entry in an index."""
        kind = self.manifest.kind
        return Descriptor(MANIFEST, self.digest, len(self.raw_manifest), artifact_type=kind)

    @property
    def parts(self) -> tuple[Content, ...]:
        """Empty: an artifact is not an index."""
        return ()


def artifact_of(
    artifact_type: str,
    attachments: Sequence[Attachment],
    *,
    config: Attachment | None = None,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Artifact:
    """Return an artifact; ``subject`` is the image, index or artifact that it is about."""
    empty = Attachment(EMPTY_TYPE, EMPTY, {})
    own, layers = config or empty, tuple(attachments) or (empty,)
    manifest = Manifest(
        config=own.descriptor,
        layers=tuple(item.descriptor for item in layers),
        artifact_type=artifact_type,
        subject=_plain(subject),
        annotations=annotations or {},
    )
    return Artifact(manifest.as_bytes(), (*(item.blob for item in layers), own.blob))


def read_artifact(raw_manifest: bytes, blob_of: Callable[[Descriptor], Blob]) -> Artifact:
    """Return an artifact from a store's bytes; ``blob_of`` finds the bytes of a blob.

    Raises:
        StoreError: ``IMAGE_INVALID``: the bytes are not a manifest, or it does not state its type.
    """
    manifest = Manifest.read(raw_manifest, MANIFEST)
    if manifest.artifact_type is None and manifest.config.media_type == EMPTY_TYPE:
        raise failure("IMAGE_INVALID", "the manifest has the empty config, but no artifactType")
    found = (*manifest.layers, manifest.config)
    return Artifact(raw_manifest, tuple(blob_of(item) for item in found))


def _plain(subject: Descriptor | None) -> Descriptor | None:
    """Return a subject without the fields that only indexes have."""
    if subject is None:
        return None
    return Descriptor(subject.media_type, subject.digest, subject.size_bytes)
