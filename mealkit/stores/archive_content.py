"""The content of an archive: images under their names, and what is attached to them.

Everything here is small, is compared with its digest, and is read before any layer. Raises
StoreError for an archive that contradicts itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.choosing import Source, content_at
from mealkit.oci.descriptor import CONFIG_TYPES, INDEX_TYPES, Descriptor
from mealkit.oci.image import Image, with_parts
from mealkit.oci.index import SUBJECT, ImageIndex, Index
from mealkit.oci.manifest import Manifest
from mealkit.oci.reference import Reference
from mealkit.stores.archive import open_joined
from mealkit.stores.docker_archive import NamedEntry, require_listed
from mealkit.stores.packed_archive import AttachedArtifact, CoveringIndex, NamedContent
from mealkit.stores.volume_reading import JoinedFiles
from mealkit.units import show_size
from mealkit.untrusted import shown

# An archive has a few images, each with a few signatures and attestations.
_MAX_ENTRIES = 10_000
# They are in memory together.
_MAX_READ_BYTES = 256 * 1024 * 1024
# Docker writes the name of an image here, and only its tag where others write the name.
_CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class ArchiveContent:
    """The images of an archive, and its artifacts; blobs are read in place."""

    images: tuple[NamedContent, ...]
    artifacts: tuple[AttachedArtifact, ...]
    indexes: tuple[CoveringIndex, ...] = ()
    _by_digest: Mapping[Digest, Artifact] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_digest = {item.artifact.digest: item.artifact for item in self.artifacts}
        object.__setattr__(self, "_by_digest", by_digest)

    @property
    def proposals(self) -> tuple[Artifact, ...]:
        """The artifacts that are about the archive: policies and keys that its sender proposes."""
        return tuple(item.artifact for item in self.artifacts if item.subject is None)

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the artifacts that refer to a manifest, sorted by digest."""
        found = [item.artifact.descriptor for item in self.artifacts if item.subject == subject]
        kept = (item for item in found if artifact_type in {None, item.artifact_type})
        return tuple(sorted(kept, key=lambda item: item.digest))

    def indexes_of(self, image: Digest) -> tuple[Descriptor, ...]:
        """Return the indexes that list an image."""
        tops = [item.content for item in self.images if isinstance(item.content, ImageIndex)]
        found = [top.descriptor for top in tops if image in {one.digest for one in top.images}]
        found += [item.index.descriptor for item in self.indexes if item.image == image]
        return tuple({item.digest: item for item in found}.values())

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return an artifact that ``listed`` returned."""
        return self._by_digest[listed.digest]


def read_content(joined: JoinedFiles) -> ArchiveContent:
    """Return the content of an archive.

    Raises:
        StoreError: ``IMAGE_INVALID``: it is not an archive, or contradicts itself;
            ``IMAGE_NOT_FOUND``: it has no image; ``BLOB_MISSING``, ``BLOB_DAMAGED``.
    """
    archive = open_joined(joined, strict=True)
    source, where = _bounded(archive.source), joined.where
    if len(archive.entries) > _MAX_ENTRIES:
        count = len(archive.entries)
        raise _invalid(where, f"has {count} entries, at most {_MAX_ENTRIES} are allowed")
    images: list[NamedContent] = []
    artifacts: list[AttachedArtifact] = []
    indexes: list[CoveringIndex] = []
    for entry in archive.entries:
        about = _about(entry.descriptor, source)
        if isinstance(about, AttachedArtifact):
            artifacts.append(about)
        elif isinstance(about, CoveringIndex):
            indexes.append(about)
        else:
            content, covering = whole_or_one(content_at(entry.descriptor, source))
            images.append(NamedContent(content, tuple(_full_names(entry))))
            indexes += covering
    if not images:
        raise failure("IMAGE_NOT_FOUND", f"{where} has no image", where=where)
    if archive.has_two_lists:
        configs = {image.config_descriptor.digest for image in _images(images)}
        require_listed(where, archive.members, configs)
    _require_subjects(images, artifacts, indexes, where)
    return ArchiveContent(tuple(images), tuple(artifacts), tuple(indexes))


def whole_or_one(
    content: Image | ImageIndex,
) -> tuple[Image | ImageIndex, tuple[CoveringIndex, ...]]:
    """Return an image, or an index that lists only images.

    From an index that lists one image and other things, such as BuildKit's attestations, the image
    is returned, and the index as the one that covers it.

    Raises:
        StoreError: ``IMAGE_INVALID``: it lists several images and other things.
    """
    if not isinstance(content, ImageIndex):
        return content, ()
    listed = Index.parse(content.raw_manifest, content.digest).images()
    others = set(listed) - {image.digest for image in content.images}
    if not others:
        return content, ()
    if len(content.images) != 1:
        raise failure(
            "IMAGE_INVALID",
            f"{content.digest} lists {min(others)}, which is not an image",
            hint="take one image of it: mealkit save --architecture amd64",
        )
    (image,) = content.images
    return image, (CoveringIndex(replace(content, images=()), image.digest),)


def _bounded(source: Source) -> Source:
    """Return a source that reads only so many bytes of manifests, indexes and configs."""
    left_bytes = [_MAX_READ_BYTES]

    def read(item: Descriptor) -> bytes:
        left_bytes[0] -= item.size_bytes
        if left_bytes[0] < 0:
            limit = show_size(_MAX_READ_BYTES)
            raise _invalid(source.where, f"has more than {limit} of manifests and configs")
        return source.read(item)

    return replace(source, read=read)


def _about(entry: Descriptor, source: Source) -> AttachedArtifact | CoveringIndex | None:
    """Return what an entry names, or None if it is an image or an index with its images."""
    stated = entry.annotations.get(SUBJECT)
    try:
        noted = Digest(stated) if stated is not None else None
    except ValueError as error:
        raise _invalid(source.where, f"has something about {shown(stated or '')}") from error
    raw = source.read(entry)
    if entry.media_type in INDEX_TYPES:
        return None if noted is None else _covering(entry, raw, noted, source)
    manifest = Manifest.read(raw, entry.media_type)
    is_image = manifest.config.media_type in CONFIG_TYPES and manifest.artifact_type is None
    if is_image and noted is None:
        return None
    artifact = read_artifact(raw, source.blob_of)
    subject = manifest.subject.digest if manifest.subject else noted
    if noted not in {None, subject}:
        raise _invalid(source.where, f"lists {entry.digest} as about {noted}, but it is not")
    return AttachedArtifact(artifact, subject)


def _covering(entry: Descriptor, raw: bytes, image: Digest, source: Source) -> CoveringIndex:
    index = Index.parse(raw, entry.digest)
    if index.artifact_type or image not in index.images():
        raise _invalid(
            source.where, f"says that {entry.digest} is the index of {image}, but it is not"
        )
    return CoveringIndex(ImageIndex(raw, (), entry.media_type), image)


def _full_names(entry: NamedEntry) -> Iterator[str]:
    """Yield the names of an entry that are complete: Docker writes only a tag, and this."""
    for name in (*entry.names, entry.descriptor.annotations.get(_CONTAINERD_NAME, "")):
        with suppress(MealkitError):
            reference = Reference.parse(name)
            if reference.tag is not None and reference.digest is None:
                yield str(reference)


def _images(contents: Sequence[NamedContent]) -> Iterator[Image]:
    for named in contents:
        yield from (item for item in with_parts(named.content) if isinstance(item, Image))


def _require_subjects(
    images: Sequence[NamedContent],
    artifacts: Sequence[AttachedArtifact],
    indexes: Sequence[CoveringIndex],
    where: str,
) -> None:
    """Check that every artifact is about something in the archive, or about the archive."""
    every = {image.digest for image in _images(images)}
    for covering in indexes:
        if covering.image not in every:
            digest = covering.index.digest
            raise _invalid(where, f"has {digest} for {covering.image}, without that")
    there = {item.descriptor.digest for named in images for item in with_parts(named.content)}
    there |= {item.artifact.digest for item in artifacts}
    there |= {item.index.digest for item in indexes}
    for item in artifacts:
        if item.subject is not None and item.subject not in there:
            raise _invalid(
                where, f"has {item.artifact.digest}, which is about {item.subject}, without that"
            )


def _invalid(where: str, what: str) -> MealkitError:
    return failure("IMAGE_INVALID", f"{where} {what}", where=where)
