"""Images in registries as values: reads manifest and config, and leaves layers in the registry.

Raises StoreError for images for another platform and for schema 1, and RegistryError for bytes that
do not match their digests.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mealkit.errors import MealkitError, failure
from mealkit.oci.choosing import Source, choose, find_image
from mealkit.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Platform
from mealkit.oci.image import Image
from mealkit.oci.manifest import Manifest
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.exchange import SMALL_BYTES
from mealkit.stores.registry.manifests import Fetched, get_manifest
from mealkit.stores.registry.reaching import Registries


class RemoteImages:
    """Reads images from registries; a few KB each, until a layer is read."""

    def __init__(self, registries: Registries) -> None:
        """Read through ``registries``, which must stay open while blobs are read."""
        self._registries = registries

    def resolve(self, reference: Reference, platform: Platform | None = None) -> Descriptor:
        """Return the descriptor of a reference's manifest for a platform.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        with named_problems(reference):
            entries, source = self.opened(reference)
            return choose(entries, source, platform)

    def image(self, reference: Reference, platform: Platform | None = None) -> Image:
        """Return an image whose layers are read from the registry when they are needed.

        Without a platform, an index must have exactly one image.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND`` (also for another platform), ``IMAGE_INVALID``,
                ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        with named_problems(reference):
            entries, source = self.opened(reference)
            return find_image(entries, source, platform)

    def annotations(
        self, reference: Reference, platform: Platform | None = None
    ) -> Mapping[str, str]:
        """Return the annotations of an image's manifest; reads only the manifest.

        The platform only selects within an index: a manifest does not state its own.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        with named_problems(reference):
            entries, source = self.opened(reference)
            chosen = choose(entries, source, platform)
            return Manifest.read(source.read(chosen), chosen.media_type).annotations

    def opened(self, reference: Reference) -> tuple[tuple[Descriptor, ...], Source]:
        """Return the manifest or index that a reference names, and the reader of the rest.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        clients = self._registries.sources(reference)
        name = reference.digest or reference.tag or "latest"
        top = get_manifest(clients, reference, name)
        fetched: dict[str, Fetched] = {top.descriptor.digest: top}

        def blob_of(item: Descriptor) -> RegistryBlob:
            return RegistryBlob(item.digest, item.size_bytes, reference.repository, clients)

        def read(item: Descriptor) -> bytes:
            if item.media_type not in MANIFEST_TYPES | INDEX_TYPES:
                if item.size_bytes > SMALL_BYTES:
                    raise failure("IMAGE_INVALID", f"its config has {item.size_bytes} bytes")
                return b"".join(blob_of(item).chunks())
            if item.digest not in fetched:
                fetched[item.digest] = get_manifest(clients, reference, item.digest)
            return fetched[item.digest].raw

        return (top.descriptor,), Source(str(reference), read, blob_of)


@contextmanager
def named_problems(reference: Reference) -> Iterator[None]:
    """Add the name of the image to the error of one of its parts."""
    try:
        yield
    except MealkitError as error:
        problem = error.problems[0]
        if problem.code != "IMAGE_INVALID" or str(reference) in problem.message:
            raise
        message = f"{reference}: {problem.message}"
        raise failure("IMAGE_INVALID", message, where=str(reference)) from error
