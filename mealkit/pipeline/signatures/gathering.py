"""Gathers what trusted signers have signed about an image, from a registry or a store.

Every signature that does not count is returned as a problem, so that a caller can say why an image
is refused. Raises RegistryError if the registry does not answer: that is not "unsigned".
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, Problem, RegistryError, failure, problem
from mealkit.oci.artifact import Artifact
from mealkit.oci.descriptor import CONFIG, Descriptor
from mealkit.oci.image import Blob
from mealkit.stores.registry.blob import DAMAGED
from mealkit.stores.registry.referrers import RegistryReferrers
from mealkit.trust.bundle import (
    BUNDLE_TYPE,
    MAX_BUNDLE_BYTES,
    other_subject,
    read_bundle,
    verified_bundle,
)
from mealkit.trust.keyless import Identity, verified_by_identity
from mealkit.trust.keyring import KeyRing
from mealkit.trust.simple_signing import (
    MAX_PAYLOAD_BYTES,
    MAX_SIGNATURES,
    PAYLOAD_MEDIA_TYPE,
    SIGNATURE_ARTIFACT_TYPE,
    SimpleSignature,
    signature_of,
    signature_tag,
    verified_simple,
)
from mealkit.trust.statement import invalid
from mealkit.trust.verified import SIGNED, Form, Verified

MAX_ARTIFACTS = 256
"""More artifacts with signatures of one image are not read."""

# Signatures of older tools have no artifact type, so their list states the type of the config.
_SIMPLE_TYPES = frozenset({SIGNATURE_ARTIFACT_TYPE, CONFIG})


class Referrers(Protocol):
    """What lists the artifacts about an image: a registry's repository, a store, a layout."""

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the artifacts about a manifest."""
        ...

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return an artifact; its blobs are read later."""
        ...


@dataclass(frozen=True, slots=True)
class RepositoryReferrers:
    """The artifacts about an image in a repository, with the one under the tag ``….sig``.

    Older tools do not name a subject there, so no list has it.
    """

    inner: RegistryReferrers

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """Return the descriptors of the artifacts about a manifest, the tagged one last."""
        found = self.inner.listed(subject, artifact_type)
        tagged = self.inner.tagged(signature_tag(subject))
        if tagged is None or tagged.digest in {item.digest for item in found}:
            return found
        kind = tagged.descriptor.artifact_type
        return (*found, tagged.descriptor) if artifact_type in {None, kind} else found

    def artifact(self, listed: Descriptor) -> Artifact:
        """Return an artifact; its blobs stay in the registry until they are read."""
        return self.inner.artifact(listed)


@dataclass(frozen=True, slots=True)
class _Trusted:
    """Who is trusted, and the time of the verification."""

    keys: KeyRing
    identities: tuple[Identity, ...]
    now_seconds: float


@dataclass(frozen=True, slots=True)
class Gathered:
    """What trusted signers have signed about an image, and why other signatures do not count."""

    verified: tuple[Verified, ...]
    refused: tuple[Problem, ...]


def gather(
    subject: Descriptor,
    referrers: Referrers,
    keys: KeyRing,
    identities: Sequence[Identity] = (),
    *,
    legacy: bool = False,
    now_seconds: float | None = None,
) -> Gathered:
    """Return what is signed about a manifest or an index, and why other signatures do not count.

    A signature in the older layout counts only if the same signer also has a bundle that counts,
    or with ``legacy``: mealkit always writes both, so a missing bundle may have been removed.

    Raises:
        RegistryError: ``REGISTRY_*``.
        StoreError: the list cannot be read.
        TrustError: ``SIGNATURE_INVALID``: there are too many signatures.
    """
    now = time.time() if now_seconds is None else now_seconds
    trusted = _Trusted(keys, tuple(identities), now)
    refused: list[Problem] = []
    found: dict[tuple[object, ...], Verified] = {}
    for artifact in _artifacts(subject, referrers, refused):
        for proof in _proofs(artifact, subject.digest, trusted):
            try:
                one = replace(proof(), artifact=artifact.digest)
            except MealkitError as error:
                refused += _refusal(error, artifact.digest)
            else:
                # A tag that moved leaves older artifacts with some of the same signatures.
                found.setdefault(_identity(one), one)
    kept = tuple(found.values()) if legacy else _without_downgrades(found.values(), refused)
    return Gathered(kept, tuple(refused))


def read_bounded(blob: Blob, limit_bytes: int) -> bytes:
    """Return all bytes of a small blob, checked against their digest.

    Raises:
        TrustError: ``SIGNATURE_INVALID``: it is too large, or has another digest.
    """
    if blob.size_bytes > limit_bytes:
        raise invalid(f"its blob has {blob.size_bytes} bytes; the limit is {limit_bytes}")
    data = bytearray()
    for chunk in blob.chunks():
        data += chunk
        if len(data) > limit_bytes:
            raise invalid(f"its blob is longer than {limit_bytes} bytes")
    if Digest.of(bytes(data)) != blob.digest:
        raise invalid(f"the bytes of {blob.digest} have another digest")
    return bytes(data)


def _artifacts(
    subject: Descriptor, referrers: Referrers, refused: list[Problem]
) -> Iterator[Artifact]:
    """Yield the artifacts with signatures, bundles first."""
    listed = [
        item
        for item in referrers.listed(subject.digest)
        if item.artifact_type in {BUNDLE_TYPE, None} | _SIMPLE_TYPES
    ]
    if len(listed) > MAX_ARTIFACTS:
        message = f"{len(listed)} artifacts have signatures of it; the limit is {MAX_ARTIFACTS}"
        raise failure("SIGNATURE_INVALID", message, where=subject.digest)
    for item in sorted(listed, key=lambda one: one.artifact_type != BUNDLE_TYPE):
        try:
            artifact = referrers.artifact(item)
            stated = artifact.manifest.subject
        except MealkitError as error:
            first = error.problems[0]
            if isinstance(error, RegistryError) and first.code not in DAMAGED:
                raise
            refused.append(problem("SIGNATURE_INVALID", f"{item.digest}: {first.message}"))
            continue
        if stated is not None and stated.digest != subject.digest:
            refused += other_subject(stated.digest, subject.digest).problems
            continue
        yield artifact


def _proofs(
    artifact: Artifact, subject: Digest, trusted: _Trusted
) -> Iterator[Callable[[], Verified]]:
    """Yield a function for each signature in an artifact, which returns what it proves."""
    manifest = artifact.manifest
    pairs = tuple(zip(manifest.layers, artifact.blobs, strict=False))
    if manifest.kind == BUNDLE_TYPE:
        yield partial(_bundle_proof, artifact.blobs[0], subject, trusted)
        return
    signed = [pair for pair in pairs if pair[0].media_type == PAYLOAD_MEDIA_TYPE]
    for layer, blob in signed[:MAX_SIGNATURES]:
        yield partial(_simple_proof, layer, blob, subject, trusted)


def _refusal(error: MealkitError, artifact: Digest) -> tuple[Problem, ...]:
    """Return why a signature does not count.

    Raises:
        RegistryError: the registry does not answer, which says nothing about signatures.
    """
    if error.problems[0].code in DAMAGED:
        reason = f"{artifact}: {error.problems[0].message}"
        return (problem("SIGNATURE_INVALID", reason),)
    if isinstance(error, RegistryError):
        raise error
    return tuple(error.problems)


def _bundle_proof(blob: Blob, subject: Digest, trusted: _Trusted) -> Verified:
    raw = read_bounded(blob, MAX_BUNDLE_BYTES)
    bundle = read_bundle(raw)
    if bundle.certificate is not None:
        return verified_by_identity(raw, bundle, subject, trusted.identities)
    return verified_bundle(bundle, subject, trusted.keys, trusted.now_seconds)


def _simple_proof(layer: Descriptor, blob: Blob, subject: Digest, trusted: _Trusted) -> Verified:
    signature = SimpleSignature(read_bounded(blob, MAX_PAYLOAD_BYTES), signature_of(layer))
    return verified_simple(signature, subject, trusted.keys, trusted.now_seconds)


def _without_downgrades(found: Iterable[Verified], refused: list[Problem]) -> tuple[Verified, ...]:
    """Move signatures of the older layout to the problems if their signer has no bundle."""
    every = tuple(found)
    signers = {
        one.signer for one in every if one.form is Form.BUNDLE and one.predicate_type == SIGNED
    }
    kept = []
    for one in every:
        if one.form is Form.BUNDLE or one.signer in signers:
            kept.append(one)
        else:
            message = (
                "it has a signature in the older layout only; its bundle may have been removed"
            )
            refused.append(problem("SIGNATURE_LEGACY", message, where=one.subject))
    return tuple(kept)


def _identity(one: Verified) -> tuple[object, ...]:
    """Return what two copies of one signature have in common."""
    predicate = canonical_json(one.predicate)
    return (one.signer, one.form, one.predicate_type, predicate, one.reference, one.signed_seconds)
