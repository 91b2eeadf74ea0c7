"""Loads images from an archive into the local store, after the policies of this machine agreed.

Signatures are read first, then the weights: each becomes a verified file that ``run`` mounts, and
is written once. An image gets its names when all its bytes are stored, so a killed command leaves
nothing half-loaded, and the next one continues.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mealkit.assembly.lean import WeightLayer, weight_layers
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.files.identity import FileKey
from mealkit.files.whole import require_space
from mealkit.oci.image import Blob, Image, with_parts
from mealkit.oci.index import ImageIndex
from mealkit.oci.reference import Reference
from mealkit.oci.validate import check_diff_id
from mealkit.pipeline.archives.proposing import ProposedFile, proposed_files
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import image_name
from mealkit.pipeline.image.image_lock import kit_layer, lock_of
from mealkit.pipeline.image.unwrapping import unwrapped_here
from mealkit.pipeline.policy.admitting import accepted, policies_here
from mealkit.pipeline.policy.candidates import Candidate
from mealkit.progress import Progress
from mealkit.sources.file_cache import FileCache
from mealkit.stores.archive_content import ArchiveContent, read_content
from mealkit.stores.attached import Attached
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.packed_archive import NamedContent
from mealkit.stores.volume_reading import explained_by_files, join_files


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image or an index of an archive, and the names that it got here.

    ``taken`` are the names that belong to other images here, with their digests.
    """

    digest: Digest
    names: tuple[str, ...]
    taken: tuple[tuple[str, Digest], ...]
    platforms: tuple[str, ...]
    size_bytes: int
    artifacts: tuple[str, ...]
    """The types of the artifacts that are attached to it."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was loaded, or what an archive has."""

    images: tuple[LoadedImage, ...]
    proposed: tuple[ProposedFile, ...]


def load(files: Sequence[Path], home: Home, progress: Progress) -> LoadReport:
    """Load everything in an archive.

    Raises:
        TrustError: a policy of this machine refuses an image. Nothing was stored.
        StoreError: the archive is not whole or not valid; ``DISK_FULL``.
    """
    joined = join_files(files)
    try:
        content = _with_own_names(read_content(joined))
        store, cache = LocalStore(home.store), FileCache(home.files)
        proposed = _proposed(content)
        _admit(content, progress)
        with store.use():
            _require_space(content, home, store, cache)
            images = _images(content)
            for image in images:
                _unwrap(_missing(image, store), image, store, cache, progress)
            _keep_layers(images, store, progress)
            _attach(content, store, cache)
            loaded = tuple(_put(named, content, store) for named in content.images)
    except MealkitError as error:
        raise explained_by_files(error, joined) from error
    return LoadReport(loaded, proposed)


def archive_list(files: Sequence[Path]) -> LoadReport:
    """Return what an archive has; only small files of it are read.

    Raises:
        StoreError: the archive is not whole or not valid.
    """
    joined = join_files(files)
    try:
        content = _with_own_names(read_content(joined))
        images = tuple(_described(named, content, named.names, ()) for named in content.images)
        return LoadReport(images, _proposed(content))
    except MealkitError as error:
        raise explained_by_files(error, joined) from error


def _with_own_names(content: ArchiveContent) -> ArchiveContent:
    """Return the content with the names that may be used here.

    A kit has the name that its lock states, and those in registries. Another name, in a list that
    is not signed, could be that of another kit, or of a newer version.

    Raises:
        StoreError: ``IMAGE_INVALID``: an index has images of several kits; a lock cannot be read.
        LockError: ``LOCK_INVALID``.
    """
    return replace(content, images=tuple(map(_with_own_name, content.images)))


def _with_own_name(named: NamedContent) -> NamedContent:
    images = [item for item in with_parts(named.content) if isinstance(item, Image)]
    own = {image_name(lock_of(image)) for image in images if kit_layer(image) is not None}
    if not own:
        return named
    if len(own) > 1:
        kits = " and ".join(sorted(own))
        raise failure("IMAGE_INVALID", f"{named.content.descriptor.digest} has images of {kits}")
    away = {name for name in named.names if Reference.parse(name).registry is not None}
    return replace(named, names=tuple(sorted(own | away)))


def _admit(content: ArchiveContent, progress: Progress) -> None:
    """Ask the policies of this machine about every image; the archive's own signatures count."""
    policies = policies_here()
    for named in content.images:
        origins = [Reference.parse(name) for name in named.names]
        # Under the name of a registry it has to be what it would have to be from there.
        away = [origin for origin in origins if origin.registry is not None]
        places: Sequence[Reference | None] = away or [None]
        for image in with_parts(named.content):
            if isinstance(image, Image):
                name = named.names[0] if named.names else str(image.digest)
                indexes = partial(content.indexes_of, image.digest)
                for place in places:
                    candidate = Candidate(name, image, indexes, content, place)
                    accepted(candidate, progress, policies)


def _proposed(content: ArchiveContent) -> tuple[ProposedFile, ...]:
    return tuple(file for item in content.proposals for file in proposed_files(item))


def _images(content: ArchiveContent) -> list[Image]:
    every = (item for named in content.images for item in with_parts(named.content))
    return list({item.digest: item for item in every if isinstance(item, Image)}.values())


def _missing(image: Image, store: LocalStore) -> list[WeightLayer]:
    return [weight for weight in weight_layers(image) if not store.has(weight.layer.blob.digest)]


def _require_space(
    content: ArchiveContent, home: Home, store: LocalStore, cache: FileCache
) -> None:
    """Check that the disk has space for everything that is not there yet."""
    absent: dict[Digest, int] = {}
    weights: set[Digest] = set()
    for image in _images(content):
        for weight in _missing(image, store):
            weights.add(weight.layer.blob.digest)
            if cache.path(weight.digest) is None:
                absent[weight.digest] = weight.size_bytes
    every = [item for named in content.images for item in with_parts(named.content)]
    for item in (*every, *(one.artifact for one in content.artifacts)):
        for blob in item.blobs:
            if blob.digest not in weights and not store.has(blob.digest):
                absent.setdefault(blob.digest, blob.size_bytes)
    require_space(home.root, sum(absent.values()))


def _unwrap(
    weights: Sequence[WeightLayer],
    image: Image,
    store: LocalStore,
    cache: FileCache,
    progress: Progress,
) -> None:
    """Store the files of weight layers, and their layers as virtual ones."""
    if not weights:
        return
    task = progress.task("loading weights", sum(weight.size_bytes for weight in weights))
    for weight in weights:
        blob = unwrapped_here(weight, image.created_seconds, cache, task.advance)
        store.recipes.write(blob)
    task.done(f"{len(weights)} files")


def _keep_layers(images: Sequence[Image], store: LocalStore, progress: Progress) -> None:
    """Store the layers; the diff ids of those that are there already are checked, too."""
    layers = {
        (layer.blob.digest, layer.diff_id): layer for image in images for layer in image.layers
    }
    absent = {
        digest: layer.blob.size_bytes
        for (digest, _), layer in layers.items()
        if not store.has(digest)
    }
    task = progress.task("loading", sum(absent.values()))
    for (digest, _), layer in layers.items():
        if store.has(digest):
            check_diff_id(replace(layer, blob=store.blob(digest)))
        else:
            store.keep_layer(layer, task.advance)
    task.done(f"{len(absent)} layers")


def _attach(content: ArchiveContent, store: LocalStore, cache: FileCache) -> None:
    """Store the artifacts; one that has a file of weights again shares it."""
    attached = Attached(store)
    for item in content.artifacts:
        if item.subject is not None:
            blobs = tuple(_shared(blob, cache) for blob in item.artifact.blobs)
            attached.add(replace(item.artifact, blobs=blobs), item.subject)
    for covering in content.indexes:
        attached.cover(covering.index, [covering.image])


def _shared(blob: Blob, cache: FileCache) -> Blob:
    path = cache.path(blob.digest)
    if path is None:
        return blob
    return VirtualBlob(blob.digest, b"", path, FileKey.of(path), b"", blob.digest)


def _put(named: NamedContent, content: ArchiveContent, store: LocalStore) -> LoadedImage:
    """List an image whose bytes are all stored, and claim its names."""
    image = named.content
    if not isinstance(image, Image | ImageIndex):
        raise TypeError("an archive has only images and indexes of images")
    store.put(image, [])
    holders = {name: store.claim(image.digest, name) for name in named.names}
    taken = tuple((name, holder) for name, holder in holders.items() if holder is not None)
    free = tuple(name for name, holder in holders.items() if holder is None)
    return _described(named, content, free, taken)


def _described(
    named: NamedContent,
    content: ArchiveContent,
    names: tuple[str, ...],
    taken: tuple[tuple[str, Digest], ...],
) -> LoadedImage:
    every = list(with_parts(named.content))
    images = [item for item in every if isinstance(item, Image)]
    blobs = {blob.digest: blob.size_bytes for item in every for blob in item.blobs}
    kinds = [
        item.artifact_type or item.media_type
        for part in every
        for item in content.listed(part.descriptor.digest)
    ]
    return LoadedImage(
        named.content.descriptor.digest,
        names,
        taken,
        tuple(str(image.platform) for image in images),
        sum(blobs.values()),
        tuple(kinds),
    )
