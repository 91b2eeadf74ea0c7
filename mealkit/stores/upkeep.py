"""Maintains the local store: deletes unused files, and verifies sources again that were moved.

Raises StoreError while another process adds to the store.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.files.hashing import HashTask, hash_files
from mealkit.files.identity import FileKey
from mealkit.files.whole import disk_errors, write_whole
from mealkit.oci.image import Image
from mealkit.oci.index import Index
from mealkit.oci.validate import blob_problems
from mealkit.progress import Advance, silent
from mealkit.stores.attached import Attached
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of ``prune``: the freed disk space, and the deleted damaged blobs."""

    freed_bytes: int
    damaged: tuple[Digest, ...]


def prune(
    store: LocalStore,
    advance: Advance = silent,
    *,
    nameless: bool = True,
    damaged: bool = False,
    in_use: Container[str] = (),
) -> Pruned:
    """Delete what no image needs: blobs, recipes, cache entries, files of killed writers.

    ``nameless`` also deletes images without a name, except those of ``in_use``. ``damaged`` reads
    every remaining blob (and calls ``advance`` with the bytes) and deletes those whose bytes are
    wrong or whose source changed. The images that need them stay listed, and the next build
    restores the blobs.

    Raises:
        StoreError: ``STORE_BUSY``; ``BLOB_DAMAGED`` or ``BLOB_MISSING``: the blobs that an image
            needs are not known. With ``damaged``, such images are deleted instead.
    """
    if not store.root.is_dir():
        return Pruned(0, ())
    with store.own():
        before = store.index()
        index = _kept_index(store, before, in_use, nameless=nameless, damaged=damaged)
        if index != before:
            write_whole(store.root / "index.json", index.as_bytes())
        needed = _needed(store, index)
        attached = Attached(store)
        attached.prune(needed, damaged=damaged)
        needed |= attached.needs(needed)
        freed_bytes = _sweep(store, needed)
        bad = _damaged(store, sorted(needed), advance) if damaged else ()
        freed_bytes += sum(_delete(store, digest) for digest in bad)
        freed_bytes += store.layers.prune() + store.pieces.prune() + store.digests.prune()
        return Pruned(freed_bytes, tuple(bad))


def refresh_sources(image: Image, store: LocalStore, advance: Advance = silent) -> None:
    """Hash the sources of virtual layers again if their times or their place on disk changed.

    If the bytes are the same (the file was linked, touched, copied back), the recipe is renewed and
    the image works again. ``advance`` is called with the bytes.

    Raises:
        StoreError: ``BLOB_MISSING``: a source was deleted.
        SourceError: ``SOURCE_CHANGED``: a source has other bytes now.
    """
    stale = [
        (layer.blob, key)
        for layer in image.layers
        if isinstance(layer.blob, VirtualBlob) and (key := _new_key(layer.blob)) is not None
    ]
    tasks = [
        HashTask(blob.source, key, blob.head, blob.tail, wants_file=True, wants_layer=False)
        for blob, key in stale
    ]
    for (blob, key), found in zip(stale, hash_files(tasks, advance), strict=True):
        if found.file != blob.file_digest:
            raise failure(
                "SOURCE_CHANGED",
                f"{blob.source} has the digest {found.file}, expected {blob.file_digest}",
                where=str(blob.source),
            )
        store.recipes.write(replace(blob, key=key))


def _new_key(blob: VirtualBlob) -> FileKey | None:
    """Return the key of a source that has changed, or None."""
    try:
        blob.check()
    except MealkitError as error:
        if error.problems[0].code != "SOURCE_CHANGED":
            raise
        return FileKey.of(blob.source)
    return None


def _kept_index(
    store: LocalStore, index: Index, in_use: Container[str], *, nameless: bool, damaged: bool
) -> Index:
    for digest, item in index.images().items():
        is_nameless = nameless and not index.names(digest)
        try:
            # One of the images below an index may be the one that is used.
            is_used = any(str(needed) in in_use for needed in (digest, *store.needs(item)))
        except MealkitError:
            if not damaged and not is_nameless:
                raise
            is_nameless, is_used = True, False
        if is_nameless and not is_used:
            index = index.without_image(digest)
    return index


def _needed(store: LocalStore, index: Index) -> set[Digest]:
    return {digest for item in index.images().values() for digest in store.needs(item)}


def _sweep(store: LocalStore, needed: Iterable[Digest]) -> int:
    """Delete what is not needed; no other process is active, so temporary files are stale."""
    kept = set(needed)
    freed_bytes = sum(
        folder.remove(digest)
        for folder in (store.blobs, store.recipes)
        for digest in folder.digests()
        if digest not in kept
    )
    stale = [*store.blobs.partials(), *store.recipes.partials(), *_cache_partials(store)]
    for path in stale:
        with disk_errors(path):
            freed_bytes += path.stat().st_size
            path.unlink()
    return freed_bytes


def _cache_partials(store: LocalStore) -> list[Path]:
    return [
        path
        for name in ("layers", "pieces", "digests")
        for path in (store.root / name).glob(".*.part")
    ]


def _damaged(store: LocalStore, digests: Iterable[Digest], advance: Advance) -> tuple[Digest, ...]:
    """Read blobs and return the damaged ones; missing ones are ignored."""
    bad = []
    for digest in digests:
        try:
            problems = blob_problems(store.blob(digest), advance)
        except MealkitError as error:
            problems = list(error.problems)
        if problems and store.stored_bytes(digest) is not None:
            bad.append(digest)
    return tuple(bad)


def _delete(store: LocalStore, digest: Digest) -> int:
    if store.blobs.find(digest) is not None:
        return store.blobs.remove(digest)
    return store.recipes.remove(digest)
