"""The artifacts of the local store that refer to its images: signatures, attestations, ModelPacks.

They are listed in ``attached.json``, apart from the images, and are deleted with what they refer
to. Raises StoreError for a list or an artifact that is damaged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.locks import locked
from mealkit.files.whole import sync_folder, write_whole
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.descriptor import INDEX_TYPES, MANIFEST, Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.oci.index import SUBJECT, ImageIndex, Index
from mealkit.oci.manifest import Manifest
from mealkit.progress import Advance, silent
from mealkit.stores.blobs import small_bytes
from mealkit.stores.local import LocalStore

_FILE = "attached.json"


class Attached:
    """The artifacts of a local store, by the digest of what they refer to."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._path = store.root / _FILE

    def add(
        self, artifact: Artifact, subject: Digest | None = None, advance: Advance = silent
    ) -> None:
        """Store an artifact that is about ``subject``, which may be stored later.

        By default it is the one that its manifest names; the signatures of older tools name none.
        ``advance`` is called with the bytes of its blobs.

        Raises:
            StoreError: ``DISK_FULL``; ``BLOB_DAMAGED``; and the errors of reading the blobs.
        """
        stated = artifact.manifest.subject
        about = subject or (stated.digest if stated else None)
        if about is None:
            raise ValueError("the artifact has no subject")
        with self._store.use():
            for blob in artifact.blobs:
                self._store.keep(blob, advance)
            self._store.keep(BytesBlob(artifact.raw_manifest))
            sync_folder(self._store.blobs.folder)
            self._list(artifact.descriptor, about)

    def cover(self, index: ImageIndex, images: Iterable[Digest]) -> None:
        """Keep the bytes of an index for these images of it: signatures are about the index."""
        with self._store.use():
            self._store.keep(BytesBlob(index.raw_manifest))
            sync_folder(self._store.blobs.folder)
            for image in images:
                self._list(index.descriptor, image)

    def indexes(self, image: Digest) -> tuple[Descriptor, ...]:
        """Return the indexes in the store that list an image, and those it was pulled with."""
        entries = Index.read(self._path).descriptors
        found = [item for item in entries if item.annotations.get(SUBJECT) == image]
        stored = self._store.index().images().values()
        tops = [item for item in stored if image in self._listed_in(item)]
        indexes = {item.digest: item for item in (*found, *tops) if item.media_type in INDEX_TYPES}
        return tuple(indexes[digest] for digest in sorted(indexes))

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the artifacts that refer to a manifest, sorted by digest."""
        found = [
            item
            for item in Index.read(self._path).descriptors
            if item.annotations.get(SUBJECT) == subject
            and item.media_type not in INDEX_TYPES
            and artifact_type in {None, item.artifact_type}
        ]
        return tuple(sorted(found, key=lambda item: item.digest))

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return an artifact.

        Raises:
            StoreError: ``BLOB_MISSING``, ``BLOB_DAMAGED``, ``IMAGE_INVALID``.
        """
        raw = small_bytes(self._store.blob(listed.digest))
        return read_artifact(raw, lambda item: self._store.blob(item.digest))

    def needs(self, kept: Iterable[Digest]) -> set[Digest]:
        """Return every blob of the artifacts that refer to these manifests, or to one another."""
        wanted, needed = set(kept), set[Digest]()
        entries = Index.read(self._path).descriptors
        while True:
            fresh = [
                item
                for item in entries
                if item.digest not in needed and item.annotations.get(SUBJECT) in wanted
            ]
            if not fresh:
                return needed
            for item in fresh:
                needed |= {item.digest, *self._references(item)}
                wanted.add(item.digest)

    def prune(self, kept: Iterable[Digest], *, damaged: bool = False) -> None:
        """Remove the artifacts whose subject is not kept. Call it within ``own``.

        ``damaged`` also removes those whose manifest cannot be read.
        """
        index = before = Index.read(self._path)
        if damaged:
            bad = {item.digest for item in index.descriptors if not self._is_readable(item)}
            index = replace(index, forms=tuple(f for f in index.forms if f["digest"] not in bad))
            write_whole(self._path, index.as_bytes())
        needed = self.needs(kept)
        index = replace(index, forms=tuple(f for f in index.forms if f["digest"] in needed))
        if index != before:
            write_whole(self._path, index.as_bytes())

    def _list(self, item: Descriptor, about: Digest) -> None:
        entry = replace(item, annotations={SUBJECT: about})
        with locked(self._store.root / "attached.lock"):
            index = Index.read(self._path)
            known = {(form["digest"], _subject_of(form)) for form in index.forms}
            if (entry.digest, about) not in known:
                forms = (*index.forms, entry.as_json())
                write_whole(self._path, replace(index, forms=forms).as_bytes())

    def _listed_in(self, item: Descriptor) -> set[Digest]:
        """Return the digests in an index; empty for all but valid indexes of images."""
        if item.media_type not in INDEX_TYPES:
            return set()
        try:
            raw = small_bytes(self._store.blob(item.digest))
            index = Index.parse(raw, item.digest)
            return set() if index.artifact_type else set(index.images())
        except MealkitError:
            return set()

    def _references(self, item: Descriptor) -> set[Digest]:
        """Return the blobs that an artifact refers to; an index is kept without its images."""
        raw = small_bytes(self._store.blob(item.digest))
        if item.media_type in INDEX_TYPES:
            return set()
        return {blob.digest for blob in Manifest.read(raw, MANIFEST).references}

    def _is_readable(self, item: Descriptor) -> bool:
        try:
            self._references(item)
            return Digest.of(small_bytes(self._store.blob(item.digest))) == item.digest
        except MealkitError:
            return False


def _subject_of(form: Mapping[str, Any]) -> Any:
    return (form.get("annotations") or {}).get(SUBJECT)
