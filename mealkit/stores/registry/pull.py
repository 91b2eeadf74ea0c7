"""Images in registries as values: manifest and config are read, layers are left where they are.

Refuses images of another platform, schema 1, and bytes that their digests do not name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import (
    CONFIG_TYPES,
    INDEX_TYPES,
    MANIFEST,
    MANIFEST_TYPES,
    Descriptor,
    Platform,
)
from mealkit.oci.image import Image, annotations_of, json_object, read_image, references
from mealkit.oci.reference import Reference
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import SMALL_BYTES, RegistryCall
from mealkit.stores.registry.reaching import Registries

_ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))
# Nothing that builds images nests indexes deeper; a registry must not keep a client busy for ever.
_DEEPEST_INDEX = 3


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means for a platform: the digest to pin, and the index it was found in."""

    digest: Digest
    media_type: str
    index: Digest | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    raw: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)


class RemoteImages:
    """Reads images from registries; a few KB each, until a layer's chunks are asked for."""

    def __init__(self, registries: Registries) -> None:
        """Read through ``registries``, which must stay open while blobs are read."""
        self._registries = registries

    def resolve(self, reference: Reference, platform: Platform | None = None) -> Resolved:
        """Return the digest of a reference's manifest for a platform.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        found, index = self._manifest(reference, platform)
        return Resolved(found.digest, found.media_type, index)

    def image(self, reference: Reference, platform: Platform | None = None) -> Image:
        """Return an image whose layers are read from the registry when they are needed.

        Without a platform, an index must hold one image only.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND`` (also for another platform), ``IMAGE_INVALID``,
                ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        found, _ = self._manifest(reference, platform)
        clients = self._registries.sources(reference)

        def blob_of(item: Descriptor) -> RegistryBlob:
            return RegistryBlob(item.digest, item.size_bytes, reference.repository, clients)

        with _named(reference):
            described = references(found.raw)[0]
            _check_config(described)
        raw_config = b"".join(blob_of(described).chunks())
        with _named(reference):
            read = read_image(found.raw, raw_config, blob_of)
            image = replace(read, media_type=found.media_type)
        if platform and not _fits(image.platform, platform):
            raise _no_platform(reference, platform, [image.platform])
        return image

    def annotations(
        self, reference: Reference, platform: Platform | None = None
    ) -> Mapping[str, str]:
        """Return the annotations of an image's manifest; nothing else of it is read.

        The platform only chooses within an index: a manifest does not say its own.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``, ``IMAGE_INVALID``, ``REFERENCE_INVALID``.
            RegistryError: ``REGISTRY_*``.
        """
        found, _ = self._manifest(reference, platform)
        with _named(reference):
            return annotations_of(json_object(found.raw, "manifest"))

    def _manifest(
        self, reference: Reference, platform: Platform | None
    ) -> tuple[_Found, Digest | None]:
        found = self._fetch(reference, reference.digest or reference.tag or "latest")
        index = None
        for _ in range(_DEEPEST_INDEX):
            if found.media_type in MANIFEST_TYPES:
                return found, index
            index = index or found.digest
            with _named(reference):
                entries = json_object(found.raw, "index").get("manifests")
                if not isinstance(entries, list):
                    raise failure("IMAGE_INVALID", "its index lists no manifests")
                descriptors = [Descriptor.from_json(item) for item in entries]
            chosen = _choose(descriptors, reference, platform)
            found = self._fetch(reference, chosen.digest)
        raise _invalid(reference, f"indexes are nested deeper than {_DEEPEST_INDEX}")

    def _fetch(self, reference: Reference, name: str) -> _Found:
        """Return a manifest or index from the first source that has the right bytes."""
        clients = self._registries.sources(reference)
        for client in clients[:-1]:
            try:
                return _fetch_from(client, reference, name)
            except MealkitError:
                continue
        return _fetch_from(clients[-1], reference, name)


def _fetch_from(client: RegistryClient, reference: Reference, name: str) -> _Found:
    repository = client.endpoint.repository(reference.repository)
    path = f"/v2/{repository}/manifests/{name}"
    call = RegistryCall("GET", path, (f"repository:{repository}:pull",), {"Accept": _ACCEPT})
    answer = client.send(call)
    if answer.status == 404:
        raise failure(
            "IMAGE_NOT_FOUND",
            f"{client.endpoint.registry} has no image {repository}, {name}",
            where=client.endpoint.registry,
            hint="correct the reference, or push the image",
        )
    if answer.status != 200:
        raise client.refusal(f"GET manifest {name} of {repository}", answer)
    found = Digest.of(answer.body)
    said = name if name.startswith("sha256:") else answer.headers.get("docker-content-digest")
    if said and said.startswith("sha256:") and said != found:
        raise failure(
            "REGISTRY_DIGEST",
            f"what {client.endpoint.registry} gives for {said} has digest {found}",
            where=client.endpoint.registry,
        )
    media_type = _media_type(answer.body, answer.headers.get("content-type", ""), reference)
    return _Found(answer.body, media_type)


def _media_type(raw: bytes, header: str, reference: Reference) -> str:
    """Return what a body says it is, or else what the header says (image-spec manifest.md)."""
    with _named(reference):
        form = json_object(raw, "manifest")
    found = form.get("mediaType") or header.partition(";")[0].strip()
    if isinstance(found, str) and found in MANIFEST_TYPES | INDEX_TYPES:
        return found
    if form.get("schemaVersion") == 2 and "config" in form and "layers" in form:
        return MANIFEST
    raise _invalid(reference, f"its manifest is of the type {found!r}")


def _choose(
    entries: list[Descriptor], reference: Reference, platform: Platform | None
) -> Descriptor:
    """Return the entry for a platform; the first one wins, one without a variant before others."""
    images = [
        item
        for item in entries
        if item.media_type in MANIFEST_TYPES | INDEX_TYPES
        and not (item.platform and item.platform.os == "unknown")  # BuildKit's attestations
    ]
    if platform is None:
        if len(images) == 1:
            return images[0]
        raise _invalid(reference, f"it is an index of {len(images)} images, name a platform")
    fitting = [item for item in images if item.platform and _fits(item.platform, platform)]
    if not fitting:
        raise _no_platform(reference, platform, [item.platform for item in images if item.platform])
    exact = [item for item in fitting if item.platform and item.platform == platform]
    return (exact or fitting)[0]


def _fits(found: Platform, wanted: Platform) -> bool:
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return same and (not wanted.variant or not found.variant or found.variant == wanted.variant)


def _check_config(described: Descriptor) -> None:
    if described.media_type not in CONFIG_TYPES:
        raise failure("IMAGE_INVALID", f"its config is of the type {described.media_type!r}")
    if described.size_bytes > SMALL_BYTES:
        raise failure("IMAGE_INVALID", f"its config has {described.size_bytes} bytes")


@contextmanager
def _named(reference: Reference) -> Iterator[None]:
    """Say of which image it is that a part cannot be read."""
    try:
        yield
    except MealkitError as error:
        raise _invalid(reference, error.problems[0].message) from error


def _no_platform(reference: Reference, wanted: Platform, there: list[Platform]) -> MealkitError:
    names = ", ".join(sorted({_platform_name(item) for item in there})) or "none"
    return failure(
        "IMAGE_NOT_FOUND",
        f"{reference} is not for {_platform_name(wanted)}; it is for: {names}",
        where=str(reference),
        hint="name another image, or one of these platforms",
    )


def _platform_name(item: Platform) -> str:
    return "/".join(filter(None, (item.os, item.architecture, item.variant)))


def _invalid(reference: Reference, what: str) -> MealkitError:
    return failure("IMAGE_INVALID", f"{reference}: {what}", where=str(reference))
