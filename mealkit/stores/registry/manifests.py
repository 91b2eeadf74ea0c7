"""Reads and writes manifests and indexes of any kind in a registry, by tag or digest.

Raises RegistryError for bytes that do not match their digest. Protocol: distribution-spec v1.1,
"Pulling manifests" and "Pushing manifests".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import INDEX, INDEX_TYPES, MANIFEST, MANIFEST_TYPES, Descriptor
from mealkit.oci.image import Content
from mealkit.oci.manifest import json_object
from mealkit.oci.reference import Reference
from mealkit.stores.registry.client import RegistryClient, worth_asking
from mealkit.stores.registry.exchange import RegistryAnswer, RegistryCall
from mealkit.stores.registry.upload import Outcome

# The blobs of a manifest were seen before it is put, so one that is unknown is there in a moment.
_MOST_PUTS = 3
_ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or an index from a registry."""

    raw: bytes
    media_type: str

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor."""
        return Descriptor(self.media_type, Digest.of(self.raw), len(self.raw))


def get_manifest(clients: Sequence[RegistryClient], reference: Reference, name: str) -> Fetched:
    """Return a manifest or index from the first client that has the right bytes.

    ``name`` is a tag or a digest in the reference's repository; ``clients`` are mirrors, then the
    registry.

    Raises:
        StoreError: ``IMAGE_NOT_FOUND``; ``IMAGE_INVALID``: it is neither a manifest nor an index.
        RegistryError: ``REGISTRY_*``.
    """
    is_tag = not name.startswith("sha256:")
    for client in worth_asking(clients)[:-1]:
        if is_tag and not client.endpoint.resolves:
            continue
        try:
            return _get(client, reference, name)
        except MealkitError:
            continue
    return _get(clients[-1], reference, name)


def put_manifest(
    client: RegistryClient, reference: Reference, content: Content, name: str
) -> Outcome:
    """Push a manifest or index under a tag or its digest, unless the name already refers to it.

    Some registries do not allow changing a tag. The blobs of the manifest must exist there.

    Raises:
        RegistryError: ``REGISTRY_*``.
    """
    described, raw = content.descriptor, content.raw_manifest
    repository = client.endpoint.repository(reference.repository)
    path = f"/v2/{repository}/manifests/{name}"
    scopes = (f"repository:{repository}:pull,push",)
    known = client.send(RegistryCall("HEAD", path, scopes, {"Accept": described.media_type}))
    if known.status == 200 and known.digest == described.digest:
        return Outcome.EXISTING
    headers = {"Content-Type": described.media_type, "Content-Length": str(len(raw))}
    put = RegistryCall("PUT", path, scopes, headers, lambda: (raw,))
    answer = client.send(put)
    attempt = 1
    while _lacks_a_blob(answer) and attempt < _MOST_PUTS and client.retry.wait(attempt):
        answer = client.send(put)
        attempt += 1
    if answer.status not in {200, 201, 202}:
        raise client.refusal(f"PUT manifest {described.digest} of {repository}", answer)
    if answer.digest not in {None, described.digest}:
        raise failure(
            "REGISTRY_DIGEST",
            f"{client.endpoint.registry} accepted {described.digest}"
            f" but states the digest {answer.digest}",
            where=client.endpoint.registry,
        )
    if not answer.confirms(described.digest) and not _is_there(client, put, described):
        raise client.refusal(f"PUT manifest {name} of {repository}, which is not there", answer)
    return Outcome.UPLOADED


def _lacks_a_blob(answer: RegistryAnswer) -> bool:
    """Return whether a registry does not see a blob of a manifest.

    docker-registry writes the list of a repository's blobs in place. So while another process
    pushes one of the same blobs, such as the empty config, it does not see it for a moment.
    """
    return answer.status in {400, 404} and b"MANIFEST_BLOB_UNKNOWN" in answer.body


def _is_there(client: RegistryClient, put: RegistryCall, described: Descriptor) -> bool:
    """Read a manifest back whose upload was answered without a proof that it is there."""
    headers = {"Accept": described.media_type}
    answer = client.send(RegistryCall("GET", put.path, put.scopes, headers))
    return answer.status == 200 and Digest.of(answer.body) == described.digest


def _get(client: RegistryClient, reference: Reference, name: str) -> Fetched:
    repository = client.endpoint.repository(reference.repository)
    path = f"/v2/{repository}/manifests/{name}"
    call = RegistryCall("GET", path, (f"repository:{repository}:pull",), {"Accept": _ACCEPT})
    answer = client.send(call)
    if answer.status == 404:
        words, separator = client.words(answer), "@" if ":" in name else ":"
        raise failure(
            "IMAGE_NOT_FOUND",
            f"{client.endpoint.registry} has no image {repository}{separator}{name}"
            f"{': ' if words else ''}{words}",
            where=client.endpoint.registry,
            hint="correct the reference, or push the image",
        )
    if answer.status != 200 or answer.is_page:
        raise client.refusal(f"GET manifest {name} of {repository}", answer)
    found = Digest.of(answer.body)
    said = name if name.startswith("sha256:") else answer.digest
    if said and said != found:
        raise failure(
            "REGISTRY_DIGEST",
            f"the answer of {client.endpoint.registry} for {said} has digest {found}",
            where=client.endpoint.registry,
        )
    return Fetched(answer.body, _media_type(answer.body, answer.headers.get("content-type", "")))


def _media_type(raw: bytes, header: str) -> str:
    """Return the media type in a body, or else in the header (image-spec manifest.md)."""
    form = json_object(raw, "manifest")
    found = form.get("mediaType") or header.partition(";")[0].strip()
    if isinstance(found, str) and found in MANIFEST_TYPES | INDEX_TYPES:
        return found
    if form.get("schemaVersion") == 2 and "config" in form and "layers" in form:
        return MANIFEST
    if form.get("schemaVersion") == 2 and "manifests" in form:
        return INDEX
    raise failure("IMAGE_INVALID", f"its manifest is of the type {found!r}")
