"""The local store: images as mealkit builds them, with the weights in their original place.

Layout: ``index.json`` and ``blobs/sha256`` as in an OCI layout, ``recipes/sha256`` for virtual
blobs, and caches. An image gets its name only when all its bytes are stored, so a process may be
killed at any time without damage to the store.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.files.locks import locked
from mealkit.files.whole import require_space, sync_folder, write_whole
from mealkit.oci.choosing import Source, content_at, find_image
from mealkit.oci.descriptor import INDEX_TYPES, Descriptor, Platform
from mealkit.oci.image import Blob, BytesBlob, Image, Layer, with_parts
from mealkit.oci.index import ImageIndex, Index
from mealkit.oci.manifest import Manifest
from mealkit.oci.validate import check_diff_id
from mealkit.progress import Advance, silent
from mealkit.stores.blob_folder import BlobFolder
from mealkit.stores.blobs import FileBlob, VirtualBlob, small_bytes
from mealkit.stores.digests import DigestCache
from mealkit.stores.layercache import LayerCache
from mealkit.stores.piece_records import PieceRecords
from mealkit.stores.stored_names import (
    by_digest,
    by_reference,
    checked_name,
    names_of,
    near_names,
    require_free_names,
)
from mealkit.stores.virtual import Recipes


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image, or an index of images, as a list shows it.

    ``size_bytes`` is its size when sent; ``stored_bytes`` its size on disk here, with shared blobs;
    ``missing`` are the blobs that were deleted or whose source changed.
    """

    names: tuple[str, ...]
    digest: Digest
    platforms: tuple[Platform, ...]
    size_bytes: int
    stored_bytes: int
    missing: tuple[Digest, ...]
    stored_seconds: float = 0.0
    """When it came into this store, since the epoch; 0 if its manifest is missing."""


class LocalStore:
    """Images in one folder, which is created with the first image.

    Any number of processes may use it. ``digests``, ``layers`` and ``pieces`` are its caches.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.blobs = BlobFolder(self.root)
        self.recipes = Recipes(self.root)
        self.digests = DigestCache(self.root / "digests")
        self.layers = LayerCache(self.root / "layers", self._usable)
        self.pieces = PieceRecords(self.root / "pieces", self.blobs)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Block ``prune`` while blobs are added that no image refers to yet."""
        with locked(self.root / "lock", shared=True):
            yield

    @contextmanager
    def own(self) -> Iterator[None]:
        """Lock the store for this process alone.

        Raises:
            StoreError: ``STORE_BUSY``: another process uses the store.
        """
        with locked(self.root / "lock", wait=False):
            yield

    def put(
        self,
        content: Image | ImageIndex,
        names: Sequence[str],
        advance: Advance = silent,
        *,
        replaces: bool = True,
    ) -> None:
        """Store an image, or an index with its images, under names (``NAME:TAG``).

        Existing blobs are not read. Virtual blobs stay virtual. ``advance`` is called with every
        blob's bytes, immediately for existing ones. Written layers are unpacked once and compared
        with their diff ids. An image that loses its name to this one stays without the name;
        without ``replaces`` the name of another image is refused.

        Raises:
            StoreError: ``VERSION_EXISTS``: another image has one of the names.
            StoreError: ``REFERENCE_INVALID``; ``DISK_FULL``; ``BLOB_DAMAGED``: bytes do not match
                their digest; ``IMAGE_INVALID``: a layer does not match its diff id; and the errors
                of reading the blobs. The store is then unchanged.
        """
        checked = [checked_name(name) for name in names]
        images = content.images if isinstance(content, ImageIndex) else (content,)
        for image in images:
            if Digest.of(image.raw_config) != image.config_descriptor.digest:
                message = "the manifest names a different config than the image has"
                raise failure("IMAGE_INVALID", message)
        layers = [layer for image in images for layer in image.layers]
        with self.use():
            require_space(self.root, self._absent_bytes([layer.blob for layer in layers]))
            for layer in layers:
                self.keep_layer(layer, advance)
            small = [image.raw_config for image in images]
            small += [item.raw_manifest for item in with_parts(content)]
            for data in small:
                self.keep(BytesBlob(data), advance)
            sync_folder(self.blobs.folder)

            def change(index: Index) -> Index:
                if not replaces:
                    require_free_names(index, checked, content.digest)
                if content.digest not in index.images():
                    # The file may be left of an image that was removed before.
                    with suppress(OSError):
                        os.utime(self.blobs.folder / content.digest.hex)
                return index.with_image(content.descriptor, checked)

            self._change(change)

    def add(self, chunks: Iterable[bytes | memoryview], advance: Advance = silent) -> FileBlob:
        """Write bytes whose digest is not yet known. Call it within ``use``."""
        return self.blobs.add(chunks, advance)

    def blob(self, digest: Digest) -> FileBlob | VirtualBlob:
        """Return a blob; the source of a virtual one is checked when it is read.

        Raises:
            StoreError: ``BLOB_MISSING``; ``BLOB_DAMAGED``: its recipe cannot be read.
        """
        found = self.blobs.find(digest) or self.recipes.find(digest)
        if found is None:
            raise failure(
                "BLOB_MISSING", f"blob {digest} is not in the store", where=str(self.root)
            )
        return found

    def has(self, digest: Digest) -> bool:
        """Return whether a blob can be read, as far as this is visible without reading it."""
        try:
            self.blob(digest).check()
        except MealkitError:
            return False
        return True

    def stored_bytes(self, digest: Digest) -> int | None:
        """Return the disk space of a blob, or None if it is missing."""
        real = self.blobs.find(digest)
        return real.size_bytes if real else self.recipes.stored_bytes(digest)

    def image(self, text: str, platform: Platform | None = None) -> Image:
        """Return the image with a name, a digest, or the first digits of one (six or more).

        A name without a tag is enough if only one image has it. A text that is the name of one
        image and the first digits of another is ambiguous and finds none. From an index, the image
        for the platform is returned.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``; ``BLOB_MISSING`` or ``BLOB_DAMAGED`` for what it needs.
        """
        entries, source = self.opened(text)
        return find_image(entries, source, platform, is_preference=True)

    def opened(self, text: str) -> tuple[tuple[Descriptor, ...], Source]:
        """Return the result of ``resolve``, and the reader of its bytes."""
        return (self.resolve(text),), self._source(text)

    def content(self, text: str) -> Image | ImageIndex:
        """Return an image as ``image`` does, or an index with all its images."""
        (found,), source = self.opened(text)
        return content_at(found, source)

    def resolve(self, text: str) -> Descriptor:
        """Return the descriptor of the image or index that ``content`` would return."""
        index = self.index()
        found = index.named(text)
        if found is not None:
            return found
        inner = [item for top in index.images().values() for item in self._listed(top)]
        every = {item.digest: item for item in (*inner, *index.images().values())}
        both = [*by_digest(every, text), *by_reference(index, every, text)]
        fitting = list({item.digest: item for item in both}.values())
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(sorted({*index.names()} & names_of(index, fitting)))
            message = f"{text!r} fits {len(fitting)} images: {names or 'give more digits'}"
        else:
            message = f"there is no image {text!r} in the local store"
        hint = near_names(text, index.names())
        raise failure("IMAGE_NOT_FOUND", message, where=str(self.root), hint=hint)

    def images(self) -> list[StoredImage]:
        """List all images, named ones first; also damaged ones."""
        index = self.index()
        found = [self._stored(item, index.names(item.digest)) for item in index.images().values()]
        return sorted(found, key=lambda item: (not item.names, item.names, item.digest))

    def tag(self, text: str, name: str) -> None:
        """Give an image one more name; another image with this name loses it.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``REFERENCE_INVALID``.
        """
        checked, found = checked_name(name), self.resolve(text)
        self._change(lambda index: index.with_image(_bare(found), [checked]))

    def claim(self, digest: Digest, name: str) -> Digest | None:
        """Give an image the name that it states, unless another image has that name.

        Return the digest of the image that has the name already and keeps it, or None.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``REFERENCE_INVALID``.
        """
        checked, found = checked_name(name), self.resolve(str(digest))
        holders: list[Digest] = []

        def change(index: Index) -> Index:
            holder = index.named(checked)
            if holder is None:
                return index.with_image(_bare(found), [checked])
            holders.append(holder.digest)
            return index

        self._change(change)
        return next((holder for holder in holders if holder != digest), None)

    def untag(self, name: str) -> None:
        """Remove a name; its image stays. Raises ``IMAGE_NOT_FOUND`` (StoreError)."""
        if self.index().named(name) is None:
            raise failure("IMAGE_NOT_FOUND", f"no image is named {name!r}", where=str(self.root))
        self._change(lambda index: index.without_name(name))

    def remove(self, text: str) -> None:
        """Remove a name, and the image with its last name; or an image by digest, with all names.

        Its blobs stay until ``prune``. Raises ``IMAGE_NOT_FOUND`` (StoreError).
        """
        found = self.resolve(text)
        if self.index().named(text) and len(self.index().names(found.digest)) > 1:
            self._change(lambda index: index.without_name(text))
        else:
            self._change(lambda index: index.without_image(found.digest))

    def index(self) -> Index:
        """Return the index of the images."""
        return Index.read(self.root / "index.json")

    def _change(self, change: Callable[[Index], Index]) -> None:
        """Replace the index by a changed one; only one process changes it at a time."""
        with locked(self.root / "index.lock"):
            write_whole(self.root / "index.json", change(self.index()).as_bytes())

    def adopt(self, layer: Layer, file: Path) -> None:
        """Move a file with the verified bytes of a layer into the store. Call it within ``use``.

        Raises:
            StoreError: ``DISK_FULL``; ``IMAGE_INVALID``: the layer does not match its diff id.
        """
        self.blobs.adopt(file, layer.blob.digest)
        self._check_written(layer)

    def keep_layer(self, layer: Layer, advance: Advance = silent) -> None:
        """Store a layer before its image, compared with its diff id. Call it within ``use``.

        Raises:
            StoreError: ``DISK_FULL``, ``BLOB_DAMAGED``, ``IMAGE_INVALID``.
        """
        if self.keep(layer.blob, advance):
            self._check_written(layer)

    def _check_written(self, layer: Layer) -> None:
        written = self.blob(layer.blob.digest)
        try:
            check_diff_id(replace(layer, blob=written))
        except BaseException:
            self.blobs.remove(written.digest)
            raise

    def keep(self, blob: Blob, advance: Advance = silent) -> bool:
        """Store a blob; return whether it had to be written. Call it within ``use``."""
        if self.blobs.holds(blob):
            advance(blob.size_bytes)
        elif isinstance(blob, VirtualBlob):
            blob.check()
            self.recipes.write(blob)
            advance(blob.size_bytes)
        elif self._usable(blob.digest, blob.size_bytes):
            advance(blob.size_bytes)
        else:
            self.blobs.write(blob, advance)
            return True
        return False

    def _absent_bytes(self, blobs: Sequence[Blob]) -> int:
        """Return the number of bytes that ``keep`` will write."""
        real = {blob.digest: blob.size_bytes for blob in blobs if not isinstance(blob, VirtualBlob)}
        return sum(size for digest, size in real.items() if not self._usable(digest, size))

    def _usable(self, digest: Digest, size_bytes: int) -> Blob | None:
        if not self.has(digest):
            return None
        found = self.blob(digest)
        return found if found.size_bytes == size_bytes else None

    def needs(self, top: Descriptor) -> dict[Digest, Descriptor]:
        """Return every blob of an image or an index, its own bytes included.

        Raises:
            StoreError: ``BLOB_MISSING``, ``BLOB_DAMAGED`` or ``IMAGE_INVALID``: they are not known.
        """
        needed = {top.digest: top}
        if top.media_type in INDEX_TYPES:
            for item in self._listed(top):
                needed |= self.needs(item)
        else:
            manifest = Manifest.read(small_bytes(self.blob(top.digest)), top.media_type)
            needed |= {item.digest: item for item in manifest.references}
        return needed

    def _listed(self, top: Descriptor) -> tuple[Descriptor, ...]:
        """Return the images in an index; empty for an image."""
        if top.media_type not in INDEX_TYPES:
            return ()
        return Index.parse(small_bytes(self.blob(top.digest)), top.digest).descriptors

    def _source(self, text: str) -> Source:
        def blob_of(item: Descriptor) -> Blob:
            return self.blob(item.digest)

        return Source(text, lambda item: small_bytes(blob_of(item)), blob_of)

    def _stored(self, descriptor: Descriptor, names: tuple[str, ...]) -> StoredImage:
        try:
            needed = {item.digest: item.size_bytes for item in self.needs(descriptor).values()}
            listed = self._listed(descriptor) or (descriptor,)
        except MealkitError:
            return StoredImage(names, descriptor.digest, (), 0, 0, (descriptor.digest,))
        stored_bytes = sum(self.stored_bytes(digest) or 0 for digest in needed)
        missing = tuple(
            digest for digest, size_bytes in needed.items() if not self._usable(digest, size_bytes)
        )
        return StoredImage(
            names,
            descriptor.digest,
            tuple(item.platform for item in listed if item.platform),
            sum(needed.values()),
            stored_bytes,
            missing,
            self._stored_seconds(descriptor.digest),
        )

    def _stored_seconds(self, digest: Digest) -> float:
        """Return when a manifest was written: the time is the file's, no bytes state it."""
        with suppress(OSError, MealkitError):
            found = self.blobs.find(digest)
            return found.path.stat().st_mtime if found else 0.0
        return 0.0


def _bare(found: Descriptor) -> Descriptor:
    """Return a descriptor without the fields that belong to one of its names."""
    return Descriptor(found.media_type, found.digest, found.size_bytes, platform=found.platform)
