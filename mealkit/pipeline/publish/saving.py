"""Saves images with everything that is about them as one archive, or as volumes of a size.

Weights are read from where they are, and images in a registry while they are written: nothing is
stored on the way.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failures
from mealkit.oci.choosing import Source, content_at, find_image
from mealkit.oci.descriptor import Descriptor, Platform
from mealkit.oci.image import Blob, Image, with_parts
from mealkit.oci.index import ImageIndex
from mealkit.oci.validate import blob_problems
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_opened, image_name
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.publish.proposing import proposal
from mealkit.pipeline.targets import (
    ArchiveFile,
    ImageTarget,
    KitFolder,
    LayoutFolder,
    RegistryReference,
    StoredDigest,
    StoredName,
    kit_or_image_named,
)
from mealkit.progress import Progress
from mealkit.stores.attached import Attached
from mealkit.stores.blobs import FileBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.packed_archive import AttachedArtifact, NamedContent, packed
from mealkit.stores.volume_writing import WrittenFile, write_volumes

MODEL_PACK = "application/vnd.cncf.model.manifest.v1+json"


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
        archive = packed(contents, artifacts)
        _require_undamaged(archive.blobs, progress)
        total_bytes = sum(blob.size_bytes for blob in archive.blobs)
        task = progress.task(f"saving {request.file}", total_bytes)
        files = write_volumes(
            archive,
            request.file,
            request.volume_bytes,
            task.advance,
            lambda item: progress.phase(_line(item)) if item.path != request.file else None,
        )
        task.done()
    images = tuple(SavedImage(item.names, item.content.descriptor.digest) for item in contents)
    return SaveReport(images, len(artifacts), archive.size_bytes, files)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a target names, and what is attached to it."""

    contents: tuple[NamedContent, ...]
    artifacts: tuple[AttachedArtifact, ...]


def _found(
    text: str, request: SaveRequest, home: Home, opened: ExitStack, progress: Progress
) -> _Found:
    target = kit_or_image_named(text)
    named: ImageTarget
    if isinstance(target, KitFolder):
        kit = open_kit(target, home, request.allowed, progress)
        places = Outputs().places()
        built = build_opened(kit, frozen=False, places=places, home=home, progress=progress)
        named = StoredDigest(str(built.digest))
    else:
        named = target
    store = LocalStore(home.store)
    match named:
        case StoredName() | StoredDigest():
            entries, source = store.opened(named.text)
            names = store.index().names(entries[0].digest)
            return _content(entries, source, names, store, request)
        case LayoutFolder():
            from mealkit.stores.layout import open_layout

            entries, source = open_layout(named.path)
            return _content(entries, source, (), store, request)
        case ArchiveFile():
            from mealkit.stores.archive_content import read_content
            from mealkit.stores.volume_reading import join_files

            held = read_content(join_files([named.path]))
            return _Found(held.images, held.artifacts)
        case RegistryReference():
            from mealkit.stores.registry.pull import RemoteImages
            from mealkit.stores.registry.reaching import Registries

            registries = opened.enter_context(Registries.from_environment())
            entries, source = RemoteImages(registries).opened(named.reference)
            tag = named.reference.tag
            names = (f"{named.reference.name}:{tag}",) if tag else ()
            return _content(entries, _stored_first(source, store), names, store, request)
        case _:
            assert_never(named)


def _content(
    entries: Sequence[Descriptor],
    source: Source,
    names: Sequence[str],
    store: LocalStore,
    request: SaveRequest,
) -> _Found:
    """Return the image or index that a target names, or one image of it."""
    if request.architecture is not None:
        platform = Platform("linux", request.architecture)
        content: Image | ImageIndex = find_image(entries, source, platform)
    elif len(entries) == 1:
        content = content_at(entries[0], source)
    else:
        content = find_image(entries, source)
    subjects = [item.descriptor.digest for item in with_parts(content)]
    artifacts = tuple(_attached(subjects, Attached(store), modelpacks=request.modelpacks))
    return _Found((NamedContent(content, _names(content, names)),), artifacts)


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


def _attached(
    subjects: Iterable[Digest], source: Attached, *, modelpacks: bool
) -> Iterator[AttachedArtifact]:
    """Yield what a store has about manifests, and about that in turn."""
    waiting, seen = list(subjects), set[Digest]()
    while waiting:
        subject = waiting.pop(0)
        for item in source.listed(subject):
            if item.digest in seen or (item.artifact_type == MODEL_PACK and not modelpacks):
                continue
            seen.add(item.digest)
            waiting.append(item.digest)
            yield AttachedArtifact(source.artifact(item), subject)


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
