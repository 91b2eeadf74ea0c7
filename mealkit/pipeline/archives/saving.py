"""Saves images with everything that is about them as one archive, or as volumes of a size.

Weights are read from where they are, and images in a registry while they are written: nothing is
stored on the way.
"""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failures
from mealkit.oci.artifact import Artifact
from mealkit.oci.choosing import Source, content_at, find_image
from mealkit.oci.descriptor import INDEX_TYPES, Descriptor, Platform
from mealkit.oci.image import Blob, Content, Image, with_parts
from mealkit.oci.index import ImageIndex
from mealkit.oci.model_artifacts import MODELPACK
from mealkit.oci.validate import blob_problems
from mealkit.pipeline.archives.proposing import proposal
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_opened, image_name
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.targets import (
    ArchiveFile,
    KitFolder,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    kit_or_image_named,
)
from mealkit.progress import Progress
from mealkit.stores.archive_content import read_content, whole_or_one
from mealkit.stores.attached import Attached
from mealkit.stores.blobs import FileBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.packed_archive import AttachedArtifact, CoveringIndex, NamedContent, packed
from mealkit.stores.registry.companions import (
    ATTESTATIONS,
    SIGNATURES,
    Companion,
    remote_companions,
    stored_companions,
    unkept,
)
from mealkit.stores.volume_writing import WrittenFile, write_volumes


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """The options."""

    targets: Sequence[str]
    file: Path
    volume_bytes: int | None = None
    architecture: str | None = None
    """The architecture to save; None: all that an image has."""
    modelpacks: bool = False
    policy: Path | None = None
    keys: Sequence[Path] = ()
    allowed: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An image or an index in an archive."""

    names: tuple[str, ...]
    digest: Digest


@dataclass(frozen=True, slots=True)
class SaveReport:
    """The written archive."""

    images: tuple[SavedImage, ...]
    artifacts: int
    size_bytes: int
    files: tuple[WrittenFile, ...]


def save(request: SaveRequest, home: Home, progress: Progress) -> SaveReport:
    """Write an archive of kits and images, and of what is attached to them.

    Raises:
        MealkitError: an image cannot be read, or the archive cannot be written.
    """
    with ExitStack() as opened:
        found = [_found(text, request, home, opened, progress) for text in request.targets]
        contents = _joined([item for one in found for item in one.contents])
        artifacts = [item for one in found for item in one.artifacts]
        about = proposal(request.policy, request.keys)
        if about is not None:
            artifacts.append(AttachedArtifact(about, None))
        archive = packed(contents, artifacts, [item for one in found for item in one.indexes])
        _require_undamaged(archive.blobs, progress)
        total_bytes = sum(blob.size_bytes for blob in archive.blobs)
        task = progress.task(f"saving {request.file}", total_bytes)
        files = write_volumes(
            archive,
            request.file,
            request.volume_bytes,
            task.advance,
            lambda item: progress.phase(_line(item)) if request.volume_bytes else None,
        )
        task.done()
    images = tuple(SavedImage(item.names, item.content.descriptor.digest) for item in contents)
    return SaveReport(images, len(artifacts), archive.size_bytes, files)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a target names, and what is about it."""

    contents: tuple[NamedContent, ...]
    artifacts: tuple[AttachedArtifact, ...]
    indexes: tuple[CoveringIndex, ...] = ()


def _found(
    text: str, request: SaveRequest, home: Home, opened: ExitStack, progress: Progress
) -> _Found:
    target = kit_or_image_named(text)
    store = LocalStore(home.store)
    match target:
        case KitFolder():
            kit = open_kit(target, home, request.allowed, progress)
            places = Outputs().places()
            built = build_opened(kit, frozen=False, places=places, home=home, progress=progress)
            return _stored(str(built.digest), store, request)
        case StoredName() | StoredDigest():
            return _stored(target.text, store, request)
        case RegistryReference():
            return _remote(target, store, request, opened, progress)
        case LayoutFolder():
            from mealkit.stores.layout import open_layout

            entries, source = open_layout(target.path)
            return _Found((_chosen(entries, source, (), request)[0],), ())
        case ArchiveFile():
            from mealkit.stores.volume_reading import join_files

            held = read_content(join_files([target.path]))
            return _Found(held.images, held.artifacts, held.indexes)
        case _:
            assert_never(target)


def _stored(text: str, store: LocalStore, request: SaveRequest) -> _Found:
    """Return what the local store has under a name, with what is attached to it."""
    entries, source = store.opened(text)
    attached = Attached(store)
    named, indexes = _chosen(entries, source, store.index().names(entries[0].digest), request)
    known = {named.content.descriptor.digest, *(item.index.digest for item in indexes)}
    for image in _images(named.content):
        indexes += [
            CoveringIndex(ImageIndex(source.read(item), (), item.media_type), image.digest)
            for item in attached.indexes(image.digest)
            if item.digest not in known
        ]
    companions = stored_companions(attached, _subjects(named, indexes))
    return _with_companions(named, indexes, companions, request)


def _remote(
    target: RegistryReference,
    store: LocalStore,
    request: SaveRequest,
    opened: ExitStack,
    progress: Progress,
) -> _Found:
    """Return what a registry has under a reference, with what refers to it.

    What the local store has is read from there.
    """
    from mealkit.stores.registry.pull import RemoteImages
    from mealkit.stores.registry.reaching import Registries

    reference = target.reference
    registries = opened.enter_context(Registries.from_environment())
    entries, source = RemoteImages(registries).opened(reference)
    names = (f"{reference.name}:{reference.tag}",) if reference.tag else ()
    named, indexes = _chosen(entries, _stored_first(source, store), names, request)
    companions = remote_companions(
        registries,
        reference,
        _subjects(named, indexes),
        progress.notice,
        suffixes=(SIGNATURES, ATTESTATIONS),
        left_out=frozenset() if request.modelpacks else frozenset({MODELPACK}),
    )
    for item in companions:
        if not isinstance(item.content, Artifact):
            progress.notice(unkept(item, "is not saved"))
    return _with_companions(named, indexes, companions, request)


def _chosen(
    entries: Sequence[Descriptor], source: Source, names: Sequence[str], request: SaveRequest
) -> tuple[NamedContent, list[CoveringIndex]]:
    """Return the image or index that a target names, or one image of it and its index."""
    content: Image | ImageIndex
    if request.architecture is None:
        is_one = len(entries) == 1
        found = content_at(entries[0], source) if is_one else find_image(entries, source)
        content, covering = whole_or_one(found)
        return NamedContent(content, _names(content, names)), [*covering]
    content = find_image(entries, source, Platform("linux", request.architecture))
    indexes = [
        CoveringIndex(ImageIndex(source.read(top), (), top.media_type), content.digest)
        for top in entries
        if top.media_type in INDEX_TYPES
    ]
    return NamedContent(content, _names(content, names)), indexes


def _images(content: Content) -> list[Image]:
    return [item for item in with_parts(content) if isinstance(item, Image)]


def _subjects(named: NamedContent, indexes: Sequence[CoveringIndex]) -> tuple[Digest, ...]:
    """Return the digests that signatures of the content may be about."""
    own = [item.descriptor.digest for item in with_parts(named.content)]
    return tuple(dict.fromkeys((*own, *(item.index.digest for item in indexes))))


def _with_companions(
    named: NamedContent,
    indexes: Sequence[CoveringIndex],
    companions: Sequence[Companion],
    request: SaveRequest,
) -> _Found:
    artifacts = tuple(
        AttachedArtifact(item.content, item.about)
        for item in companions
        if isinstance(item.content, Artifact) and (request.modelpacks or item.kind != MODELPACK)
    )
    return _Found((named,), artifacts, tuple(indexes))


def _names(content: Image | ImageIndex, given: Sequence[str]) -> tuple[str, ...]:
    """Return the given names, and the one that the kit states."""
    image = content.images[0] if isinstance(content, ImageIndex) else content
    names = set(given)
    with suppress(MealkitError):  # it is not a kit
        names.add(image_name(lock_of(image)))
    return tuple(sorted(names))


def _joined(contents: Sequence[NamedContent]) -> tuple[NamedContent, ...]:
    """Return each image once; of images with the same name, the first keeps it."""
    names: dict[str, Digest] = {}
    by_digest: dict[Digest, NamedContent] = {}
    for item in contents:
        digest = item.content.descriptor.digest
        own = tuple(name for name in item.names if names.setdefault(name, digest) == digest)
        before = by_digest.get(digest)
        known = before.names if before else ()
        by_digest[digest] = replace(item, names=tuple(sorted({*known, *own})))
    return tuple(by_digest.values())


def _stored_first(source: Source, store: LocalStore) -> Source:
    """Return a source that reads from the local store what the store has."""

    def blob_of(item: Descriptor) -> Blob:
        return store.blob(item.digest) if store.has(item.digest) else source.blob_of(item)

    return replace(source, blob_of=blob_of)


def _require_undamaged(blobs: Sequence[Blob], progress: Progress) -> None:
    """Check the files of layers before they travel: the other side could not mend them.

    Weights were verified when they were stored, and their files have not changed since. Blobs in a
    registry are compared with their digests while they are written.
    """
    files = [blob for blob in blobs if isinstance(blob, FileBlob)]
    task = progress.task("verifying", sum(blob.size_bytes for blob in files))
    problems = [found for blob in files for found in blob_problems(blob, task.advance)]
    task.done()
    if problems:
        raise failures(problems)


def _line(item: WrittenFile) -> str:
    state = "is complete"
    if item.is_kept:
        state = "was taken away" if item.is_elsewhere else "was complete"
    return f"{item.path.name} {state}: sha256 {item.checksum}"
