"""Everything that travels with an image: its referrers, theirs, and cosign's older tags.

cosign before version 3 has no referrers: its artifacts have a tag made of the image's digest.
podman, skopeo and CRI-O still read only ``sha256-DIGEST.sig``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.jobs import Stop, side_by_side
from mealkit.oci.artifact import Artifact
from mealkit.oci.descriptor import INDEX_TYPES, Descriptor
from mealkit.oci.image import Content
from mealkit.oci.manifest import json_object, read_extras
from mealkit.oci.reference import Reference
from mealkit.stores.registry.manifests import put_manifest
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers, attach, fallback_tag
from mealkit.stores.registry.remote_content import remote_content

SIGNATURES, ATTESTATIONS = ".sig", ".att"
OLDER_SUFFIXES = (SIGNATURES, ATTESTATIONS, ".sbom")
"""The ends of the tags of cosign's older layout."""

_SUFFIXES_BY_LAYER = {
    "application/vnd.dev.cosign.simplesigning.v1+json": SIGNATURES,
    "application/vnd.dsse.envelope.v1+json": ATTESTATIONS,
}
_MOST = 1000
# More small requests side by side do not help, and registries limit them.
_AT_ONCE = 4
# A companion that cannot be read for these reasons may be read in a moment.
_PASSING = frozenset({"REGISTRY_UNREACHABLE", "REGISTRY_DENIED"})

Notice = Callable[[Problem], None]


@dataclass(frozen=True, slots=True)
class Companion:
    """An artifact, or another manifest, that is about an image or about another companion."""

    content: Content
    about: Digest
    suffix: str | None = None
    """The end of its tag, if it has one in cosign's older layout."""

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""
        return self.content.descriptor.digest

    @property
    def kind(self) -> str:
        """The type of the artifact."""
        item = self.content.descriptor
        return item.artifact_type or item.media_type


class ArtifactSource(Protocol):
    """A place that lists artifacts by what they are about; ``Attached`` is one."""

    def listed(self, subject: Digest, artifact_type: str | None = None) -> Sequence[Descriptor]:
        """Return the descriptors of the artifacts about a manifest."""
        ...

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return an artifact."""
        ...


def stored_companions(source: ArtifactSource, subjects: Iterable[Digest]) -> tuple[Companion, ...]:
    """Return what the local store has about manifests, and about that in turn.

    Raises:
        StoreError: ``BLOB_MISSING``, ``BLOB_DAMAGED``, ``IMAGE_INVALID``.
    """

    def about(subject: Digest) -> Iterator[Companion]:
        for item in source.listed(subject):
            artifact = source.artifact(item)
            yield Companion(artifact, subject, _suffix_of(artifact))

    return _closure(about, subjects)


def remote_companions(
    registries: Registries,
    reference: Reference,
    subjects: Iterable[Digest],
    notice: Notice,
    *,
    suffixes: Sequence[str] = OLDER_SUFFIXES,
    left_out: frozenset[str] = frozenset(),
) -> tuple[Companion, ...]:
    """Return what a repository has about manifests, and about that in turn.

    ``left_out`` are artifact types that are not wanted. One that cannot be read is left out, and
    ``notice`` is called with the reason.

    Raises:
        StoreError: ``IMAGE_INVALID``: there are too many.
        RegistryError: ``REGISTRY_*``.
    """
    source = RegistryReferrers(registries.sources(reference), reference)

    def about(subject: Digest) -> Iterator[Companion]:
        for item in source.listed(subject):
            with _noticing(notice):
                if item.artifact_type not in left_out:
                    found = _referrer(source, item, subject)
                    yield from () if found.kind in left_out else (found,)
        for suffix in suffixes:
            with _noticing(notice):
                tagged = source.tagged(f"{fallback_tag(subject)}{suffix}")
                if tagged is not None:
                    yield Companion(tagged, subject, suffix)

    return _closure(about, subjects)


def publish(companion: Companion, reference: Reference, registries: Registries) -> int:
    """Push a companion into a repository, list it there, and return the number of bytes sent.

    Under a tag of the older layout, signatures that are there already stay.

    Raises:
        RegistryError: ``REGISTRY_*``.
        StoreError, SourceError: a blob cannot be read.
    """
    tag = f"{fallback_tag(companion.about)}{companion.suffix}"
    content = companion.content
    if companion.suffix is not None and isinstance(content, Artifact):
        there = RegistryReferrers((registries.client(reference),), reference).tagged(tag)
        content = content if there is None else merged(content, there)
    if subject_of(content) is not None:
        report = attach(content, reference, registries)
    else:
        named = Reference(
            reference.registry, reference.repository, digest=content.descriptor.digest
        )
        report = push(content, named, registries)
    if companion.suffix is not None:
        put_manifest(registries.client(reference), reference, content, tag)
    return report.sent_bytes


def unkept(companion: Companion, what: str) -> Problem:
    """Return the warning for a companion that only a registry can have: an index."""
    message = f"{companion.digest}, of type {companion.kind}, {what}: it is an index"
    return problem("IMAGE_INVALID", message, where=str(companion.about))


def merged(own: Artifact, there: Artifact) -> Artifact:
    """Return an artifact with the layers of both, as cosign adds a signature to others."""
    manifest = own.manifest
    known = {(item.digest, *sorted(item.annotations.items())) for item in manifest.layers}
    added = [
        (item, blob)
        for item, blob in zip(there.manifest.layers, there.blobs[:-1], strict=True)
        if (item.digest, *sorted(item.annotations.items())) not in known
    ]
    if not added:
        return own
    layers = (*manifest.layers, *(item for item, _ in added))
    blobs = (*own.blobs[:-1], *(blob for _, blob in added), own.blobs[-1])
    return Artifact(replace(manifest, layers=layers).as_bytes(), blobs)


def subject_of(content: Content) -> Digest | None:
    """Return the digest of the manifest that a content states to be about."""
    _, subject, _ = read_extras(json_object(content.raw_manifest, "manifest"), "manifest")
    return None if subject is None else subject.digest


def _referrer(source: RegistryReferrers, item: Descriptor, subject: Digest) -> Companion:
    content: Content
    if item.media_type in INDEX_TYPES:
        content = remote_content(source.clients, source.reference, item.digest)
    else:
        content = source.artifact(item)
    if subject_of(content) != subject:
        message = f"{item.digest} is listed as a referrer of {subject}, but does not state it"
        raise failure("IMAGE_INVALID", message, where=str(source.reference))
    suffix = _suffix_of(content) if isinstance(content, Artifact) else None
    return Companion(content, subject, suffix)


def _suffix_of(artifact: Artifact) -> str | None:
    """Return the end of an artifact's tag in the older layout, from the types of its layers.

    An attestation with a subject is in the newer layout only.
    """
    manifest = artifact.manifest
    kinds = {_SUFFIXES_BY_LAYER.get(item.media_type) for item in manifest.layers}
    if kinds == {SIGNATURES} or (kinds == {ATTESTATIONS} and manifest.subject is None):
        return kinds.pop()
    return None


def _closure(
    about: Callable[[Digest], Iterator[Companion]], subjects: Iterable[Digest]
) -> tuple[Companion, ...]:
    """Follow companions of companions, each manifest once; subjects come before companions."""
    waiting, found = dict.fromkeys(subjects), dict[Digest, Companion]()
    seen: set[Digest] = set()
    while waiting:
        seen |= waiting.keys()
        level = side_by_side(
            lambda subject: tuple(about(subject)), list(waiting), threads=_AT_ONCE, stop=Stop()
        )
        fresh = {item.digest: item for items in level for item in items}
        found |= {digest: item for digest, item in fresh.items() if digest not in found}
        if len(found) > _MOST:
            message = f"more than {_MOST} manifests refer to {next(iter(seen))}, or to one another"
            raise failure("IMAGE_INVALID", message)
        waiting = dict.fromkeys(digest for digest in fresh if digest not in seen)
    return tuple(found.values())


@contextmanager
def _noticing(notice: Notice) -> Iterator[None]:
    """Pass a problem on as a warning, unless it may be gone in a moment."""
    try:
        yield
    except MealkitError as error:
        if error.problems[0].code in _PASSING:
            raise
        notice(error.problems[0])
