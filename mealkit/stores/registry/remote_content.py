"""A manifest or index in a registry with everything below it, as it is, to copy it.

Unlike an image it may have any config and any blobs. They stay in the registry until they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from mealkit.oci.image import Blob
from mealkit.oci.index import Index
from mealkit.oci.manifest import Manifest
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.manifests import Fetched, get_manifest

_MAX_DEPTH = 4
_MOST_MANIFESTS = 1000


@dataclass(frozen=True, slots=True)
class RegistryContent:
    """Implements ``mealkit.oci.image.Content``."""

    raw_manifest: bytes
    descriptor: Descriptor
    blobs: tuple[Blob, ...] = ()
    parts: tuple["RegistryContent", ...] = ()


def remote_content(
    clients: Sequence[RegistryClient], reference: Reference, name: str
) -> RegistryContent:
    """Return the content that a tag or a digest in the reference's repository names.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``; ``IMAGE_INVALID``: it is nested too deeply, or lists too
            many manifests.
        RegistryError: ``REGISTRY_*``.
    """
    return _Reader(tuple(clients), reference).read(get_manifest(clients, reference, name), 0)


@dataclass(slots=True)
class _Reader:
    clients: tuple[RegistryClient, ...]
    reference: Reference
    known: dict[Digest, RegistryContent] = field(default_factory=dict)

    def read(self, found: Fetched, depth: int) -> RegistryContent:
        item = found.descriptor
        if item.media_type in INDEX_TYPES:
            content = RegistryContent(found.raw, item, parts=self._parts(found, depth))
        else:
            manifest = Manifest.read(found.raw, item.media_type)
            item = Descriptor(
                manifest.media_type, item.digest, item.size_bytes, artifact_type=manifest.kind
            )
            # As in an image, the config comes last.
            blobs = (*manifest.layers, manifest.config)
            content = RegistryContent(found.raw, item, tuple(map(self._blob, blobs)))
        return content

    def _parts(self, found: Fetched, depth: int) -> tuple[RegistryContent, ...]:
        if depth >= _MAX_DEPTH:
            raise self._too_much(f"nests indexes deeper than {_MAX_DEPTH}")
        listed = Index.parse(found.raw, str(self.reference)).images()
        return tuple(
            self._part(item, depth + 1)
            for item in listed.values()
            if item.media_type in MANIFEST_TYPES | INDEX_TYPES
        )

    def _part(self, item: Descriptor, depth: int) -> RegistryContent:
        if item.digest not in self.known:
            if len(self.known) >= _MOST_MANIFESTS:
                raise self._too_much(f"lists more than {_MOST_MANIFESTS} manifests")
            found = get_manifest(self.clients, self.reference, item.digest)
            self.known[item.digest] = self.read(found, depth)
        return self.known[item.digest]

    def _blob(self, item: Descriptor) -> Blob:
        return RegistryBlob(item.digest, item.size_bytes, self.reference.repository, self.clients)

    def _too_much(self, what: str) -> Exception:
        return failure("IMAGE_INVALID", f"{self.reference} {what}", where=str(self.reference))
