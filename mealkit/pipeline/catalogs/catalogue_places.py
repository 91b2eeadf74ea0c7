"""The two places of catalogues: a repository of a registry, and a folder that machines share.

In a registry, each record has a tag of its own, ``record-HEX``, and the index has the tag
``latest``. A folder is an OCI layout: ``index.json`` is the index, and each record is a blob.
"""

from dataclasses import dataclass
from pathlib import Path

from mealkit.catalogue.records import MARKDOWN_TYPE, MAX_README_BYTES
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import disk_errors, write_whole
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Blob, BytesBlob
from mealkit.oci.index import LAYOUT_BYTES, LAYOUT_FILE, MAX_INDEX_BYTES, ImageIndex
from mealkit.oci.reference import Reference
from mealkit.progress import silent
from mealkit.stores.blob_folder import BlobFolder
from mealkit.stores.blobs import small_bytes
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.manifests import get_manifest, put_manifest
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.tags import tags_of
from mealkit.untrusted import UntrustedError, read_file

_TAG = "record-"
_INDEX_TAG = "latest"


@dataclass(frozen=True, slots=True)
class RepositoryJournal:
    """A catalogue in a registry; ``reference`` is its repository."""

    reference: Reference
    registries: Registries

    @property
    def where(self) -> str:
        """The repository's name."""
        return self.reference.name

    def names(self) -> frozenset[Digest]:
        """Return the digests of all records, from the repository's tags."""
        try:
            tags = tags_of(self.registries.client(self.reference), self.reference)
        except MealkitError as error:
            if error.problems[0].code != "IMAGE_NOT_FOUND":
                raise
            return frozenset()
        return frozenset(Digest.from_hex(tag[len(_TAG) :]) for tag in tags if _is_record(tag))

    def manifest(self, name: Digest) -> bytes | None:
        """Return the manifest of a record."""
        return self._manifest(name)

    def readme(self, name: Digest) -> bytes | None:
        """Return the file in a record, verified."""
        raw, client = self._manifest(name), self.registries.client(self.reference)
        if raw is None:
            return None
        repository = self.reference.repository

        def blob_of(item: Descriptor) -> Blob:
            return RegistryBlob(item.digest, item.size_bytes, repository, (client,))

        return _readme_in(read_artifact(raw, blob_of))

    def index(self) -> bytes | None:
        """Return the index under the tag."""
        return self._manifest(_INDEX_TAG)

    def add(self, record: Artifact) -> None:
        """Push a record under its own tag."""
        tag = f"{_TAG}{record.digest.hex}"
        own = Reference(self.reference.registry, self.reference.repository, tag)
        push(record, own, self.registries)

    def publish(self, index: bytes) -> None:
        """Push the index under the tag; the records that it lists are there already."""
        client = self.registries.client(self.reference)
        put_manifest(client, self.reference, ImageIndex(index, ()), _INDEX_TAG)

    def _manifest(self, name: str) -> bytes | None:
        # A mirror may have an old list, so the registry itself is asked.
        client = self.registries.client(self.reference)
        try:
            return get_manifest((client,), self.reference, name).raw
        except MealkitError as error:
            if error.problems[0].code != "IMAGE_NOT_FOUND":
                raise
            return None


@dataclass(frozen=True, slots=True)
class FolderJournal:
    """A catalogue in a folder, such as one that a file server shares."""

    folder: Path

    @property
    def where(self) -> str:
        """The folder's name."""
        return f"oci:{self.folder}"

    def names(self) -> frozenset[Digest]:
        """Return the digests of all blobs; records are among them."""
        with disk_errors(self.folder, "cannot be read"):
            return frozenset(BlobFolder(self.folder).digests())

    def manifest(self, name: Digest) -> bytes | None:
        """Return a blob, if it is small enough for a record."""
        found = BlobFolder(self.folder).find(name)
        if found is None or found.size_bytes > MAX_README_BYTES:
            return None
        return small_bytes(found)

    def readme(self, name: Digest) -> bytes | None:
        """Return the file in a record, verified."""
        raw = self.manifest(name)
        return None if raw is None else _readme_in(read_artifact(raw, self._blob))

    def index(self) -> bytes | None:
        """Return the index file."""
        path = self.folder / "index.json"
        try:
            return read_file(path, MAX_INDEX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UntrustedError as error:
            message = f"{path} is not a catalogue: {error}"
            raise failure("CATALOGUE_INVALID", message, where=str(path)) from error

    def add(self, record: Artifact) -> None:
        """Write a record and its blobs."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        blobs = BlobFolder(self.folder)
        for blob in (*record.blobs, BytesBlob(record.raw_manifest)):
            if not blobs.holds(blob):
                blobs.write(blob, silent)

    def publish(self, index: bytes) -> None:
        """Replace the index file."""
        if not (self.folder / LAYOUT_FILE).exists():
            write_whole(self.folder / LAYOUT_FILE, LAYOUT_BYTES)
        write_whole(self.folder / "index.json", index)

    def _blob(self, item: Descriptor) -> Blob:
        found = BlobFolder(self.folder).find(item.digest)
        if found is None:
            message = f"{self.folder} has no blob {item.digest}"
            raise failure("BLOB_MISSING", message, where=str(self.folder))
        return found


def _readme_in(record: Artifact) -> bytes | None:
    for item, blob in zip(record.manifest.layers, record.blobs, strict=False):
        if item.media_type == MARKDOWN_TYPE and item.size_bytes <= MAX_README_BYTES:
            return small_bytes(blob)
    return None


def _is_record(tag: str) -> bool:
    digits = tag.removeprefix(_TAG)
    return tag.startswith(_TAG) and len(digits) == 64 and set(digits) <= set("0123456789abcdef")
