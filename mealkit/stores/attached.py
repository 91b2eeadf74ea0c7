"""The artifacts of the local store that refer to its images: signatures, attestations, ModelPacks.

They are listed in ``attached.json``, apart from the images, and are deleted with what they refer
to. Raises StoreError for a list or an artifact that is damaged.
"""

from collections.abc import Iterable
from dataclasses import replace

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.locks import locked
from mealkit.files.whole import sync_folder, write_whole
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.descriptor import MANIFEST, Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.oci.index import Index
from mealkit.oci.manifest import Manifest
from mealkit.progress import Advance, silent
from mealkit.stores.blobs import small_bytes
from mealkit.stores.local import LocalStore

SUBJECT = "dev.mealkit.subject"
"""The annotation of an artifact in an index, with the digest that it is about."""
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
            entry = replace(artifact.descriptor, annotations={SUBJECT: about})
            with locked(self._store.root / "attached.lock"):
                index = Index.read(self._path).with_image(entry, [])
                write_whole(self._path, index.as_bytes())

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the artifacts that refer to a manifest, sorted by digest."""
        found = [
            item
            for item in Index.read(self._path).descriptors
            if item.annotations.get(SUBJECT) == subject
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
                manifest = Manifest.read(small_bytes(self._store.blob(item.digest)), MANIFEST)
                needed |= {item.digest, *(blob.digest for blob in manifest.references)}
                wanted.add(item.digest)

    def prune(self, kept: Iterable[Digest], *, damaged: bool = False) -> None:
        """Remove the artifacts whose subject is not kept. Call it within ``own``.

        ``damaged`` also removes those whose manifest cannot be read.
        """
        index = before = Index.read(self._path)
        if damaged:
            bad = {digest for digest in index.images() if not self._is_readable(digest)}
            index = replace(index, forms=tuple(f for f in index.forms if f["digest"] not in bad))
            write_whole(self._path, index.as_bytes())
        needed = self.needs(kept)
        index = replace(index, forms=tuple(f for f in index.forms if f["digest"] in needed))
        if index != before:
            write_whole(self._path, index.as_bytes())

    def _is_readable(self, digest: Digest) -> bool:
        try:
            raw = small_bytes(self._store.blob(digest))
            return Digest.of(raw) == digest and bool(Manifest.read(raw, MANIFEST))
        except MealkitError:
            return False
