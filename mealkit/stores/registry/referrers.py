"""Lists and adds what refers to an image in a registry: signatures, attestations, ModelPacks.

A registry without the referrers API keeps the list as an index under the fallback tag. Raises
RegistryError as the client does. Protocol: distribution-spec v1.1, "Listing Referrers" and
"Pushing Manifests with Subject".
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.artifact import Artifact, read_artifact
from mealkit.oci.descriptor import INDEX, INDEX_TYPES, Descriptor
from mealkit.oci.image import Blob, Content
from mealkit.oci.index import Index
from mealkit.oci.manifest import json_object, read_extras
from mealkit.oci.reference import Reference
from mealkit.progress import Advance, silent
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.exchange import RegistryAnswer
from mealkit.stores.registry.manifests import get_manifest, put_manifest
from mealkit.stores.registry.pages import pages
from mealkit.stores.registry.push import PushReport, push
from mealkit.stores.registry.reaching import Registries

MAX_REFERRERS = 1000
"""More manifests that refer to one image are not read."""

# Another writer's index may replace ours between reading and writing: write until ours stays.
_MOST_ATTEMPTS = 10

_T = TypeVar("_T")


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the list of referrers in a registry without the API."""
    return f"sha256-{subject.hex}"


@dataclass(frozen=True, slots=True)
class RegistryReferrers:
    """The manifests in one repository that refer to others.

    ``clients`` are mirrors, then the registry, as for reading images. A mirror may have an old
    list, so it is asked only if the registry cannot be reached.
    """

    clients: Sequence[RegistryClient]
    reference: Reference

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the referrers of a manifest, sorted by digest.

        Raises:
            StoreError: ``IMAGE_INVALID``: the list is not an index, or is too long.
            RegistryError: ``REGISTRY_*``.
        """
        unique = {item.digest: item for item in self._listed(subject)}
        _require_few(unique, subject, self.reference)
        kept = (item for item in unique.values() if artifact_type in {None, item.artifact_type})
        return tuple(sorted(kept, key=lambda item: item.digest))

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return a referrer; its blobs stay in the registry until they are read.

        Raises:
            StoreError: ``IMAGE_NOT_FOUND``; ``IMAGE_INVALID``: it is not an artifact.
            RegistryError: ``REGISTRY_*``.
        """
        found = get_manifest(self.clients, self.reference, listed.digest)
        return read_artifact(found.raw, self._blob)

    def tagged(self, tag: str) -> Artifact | None:
        """Return the artifact under a tag, or None; for signatures in cosign's older layout.

        Raises:
            StoreError: ``IMAGE_INVALID``: it is not an artifact.
            RegistryError: ``REGISTRY_*``.
        """
        found = _absent_is_none(lambda: get_manifest(self.clients, self.reference, tag))
        return None if found is None else read_artifact(found.raw, self._blob)

    def _listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        *mirrors, registry = self.clients
        try:
            return self._listed_by(registry, subject)
        except MealkitError as error:
            if error.problems[0].code != "REGISTRY_UNREACHABLE" or not mirrors:
                raise
            for client in mirrors:
                with suppress(MealkitError):
                    return self._listed_by(client, subject)
            raise

    def _blob(self, item: Descriptor) -> Blob:
        clients = tuple(self.clients)
        return RegistryBlob(item.digest, item.size_bytes, self.reference.repository, clients)

    def _listed_by(self, client: RegistryClient, subject: Digest) -> tuple[Descriptor, ...]:
        offered = _by_api(client, self.reference, subject)
        # A registry that got the API later has older referrers only under the tag.
        tagged = _by_tag(client, self.reference, subject)
        return (*(offered or ()), *tagged.descriptors)


def attach(
    content: Content,
    reference: Reference,
    registries: Registries,
    *,
    mount_from: Sequence[str] = (),
    advance: Advance = silent,
) -> PushReport:
    """Push an artifact with a subject into the subject's repository, and list it as a referrer.

    Any manifest or index that states a subject can be attached.

    Raises:
        RegistryError: ``REGISTRY_*``; ``REGISTRY_REFUSED``: other writers replaced the list again
            and again.
        StoreError, SourceError: a blob of the artifact cannot be read.
    """
    form = json_object(content.raw_manifest, "manifest")
    kind, subject, annotations = read_extras(form, "manifest")
    if subject is None:
        raise ValueError("the artifact has no subject")
    own = Reference(reference.registry, reference.repository, digest=content.descriptor.digest)
    report = push(content, own, registries, mount_from=mount_from, advance=advance)
    client = registries.client(own)
    offered = _by_api(client, own, subject.digest)
    if offered is None or own.digest not in {item.digest for item in offered}:
        kind = kind or content.descriptor.artifact_type
        entry = replace(content.descriptor, annotations=annotations, artifact_type=kind)
        _change_list(client, own, subject.digest, lambda index: index.with_image(entry, []))
    return report


def detach(subject: Digest, gone: Digest, reference: Reference, registries: Registries) -> None:
    """Remove a referrer from the list under the fallback tag, if there is one.

    Raises:
        RegistryError: ``REGISTRY_*``.
    """
    client = registries.client(reference)
    if gone in _by_tag(client, reference, subject).images():
        _change_list(client, reference, subject, lambda index: index.without_image(gone))


@dataclass(frozen=True, slots=True)
class _ListContent:
    """An index of referrers as content to push: the manifests that it lists are there already."""

    raw_manifest: bytes
    blobs: tuple[Blob, ...] = ()
    parts: tuple["_ListContent", ...] = ()

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(INDEX, Digest.of(self.raw_manifest), len(self.raw_manifest))


def _change_list(
    client: RegistryClient,
    reference: Reference,
    subject: Digest,
    change: Callable[[Index], Index],
) -> None:
    """Change the list under the fallback tag, and read it back until the change stays."""
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        started = time.monotonic()
        wanted = change(_by_tag(client, reference, subject))
        put_manifest(client, reference, _ListContent(wanted.as_bytes()), fallback_tag(subject))
        # Another writer that read the list before our change has written its own by then.
        took_seconds = time.monotonic() - started
        client.retry.sleep(0.05 * attempt + 3 * took_seconds)
        found = _by_tag(client, reference, subject)
        if change(found) == found:
            return
    name = client.endpoint.registry
    message = f"other writers replace the list of referrers of {subject} at the same time"
    raise failure("REGISTRY_REFUSED", message, where=name, hint="run the command again")


def _by_tag(client: RegistryClient, reference: Reference, subject: Digest) -> Index:
    """Return the list under the fallback tag; empty if there is none."""
    tag = fallback_tag(subject)
    found = _absent_is_none(lambda: get_manifest((client,), reference, tag))
    if found is None:
        return Index()
    if found.media_type not in INDEX_TYPES:
        message = f"the tag {tag} of {reference.name} is not an index of referrers"
        raise failure("IMAGE_INVALID", message, where=reference.name)
    return Index.parse(found.raw, f"{reference.name}:{tag}")


def _by_api(
    client: RegistryClient, reference: Reference, subject: Digest
) -> tuple[Descriptor, ...] | None:
    """Return what the referrers API lists; None if the registry does not have it.

    Anything but an index counts as not having it: some registries answer with a web page.
    """
    repository = client.endpoint.repository(reference.repository)
    found: dict[Digest, Descriptor] = {}
    path = f"/v2/{repository}/referrers/{subject}"
    for number, page in enumerate(pages(client, path, repository, INDEX)):
        index = _index_in(page, reference)
        if index is None and number:
            raise client.refusal(f"GET page {number + 1} of the referrers of {subject}", page)
        if index is None:
            return None
        found |= index.images()
        _require_few(found, subject, reference)
    return tuple(found.values())


def _require_few(found: Mapping[Digest, Descriptor], subject: Digest, reference: Reference) -> None:
    if len(found) > MAX_REFERRERS:
        message = f"{len(found)} manifests refer to {subject}; the limit is {MAX_REFERRERS}"
        raise failure("IMAGE_INVALID", message, where=str(reference))


def _index_in(answer: RegistryAnswer, reference: Reference) -> Index | None:
    if answer.status != 200 or answer.is_page:
        return None
    try:
        return Index.parse(answer.body, reference.name)
    except MealkitError:
        return None


def _absent_is_none(read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except MealkitError as error:
        if error.problems[0].code != "IMAGE_NOT_FOUND":
            raise
        return None
