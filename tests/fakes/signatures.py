"""Keys, signed artifacts, and a place in memory that lists them, for tests about signatures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from mealkit.digest import Digest
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.descriptor import MANIFEST, Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.trust.bundle import BUNDLE_TYPE, bundle_artifact, signed_bundle
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import Algorithm, SigningKey, new_key, read_signing_key
from mealkit.trust.simple_signing import signature_artifact, simple_payload, simple_signature
from mealkit.trust.statement import Statement
from mealkit.trust.verified import SIGNED

SIGNED_SECONDS = 1_700_000_000
"""2023-11-14T22:13:20Z."""
REPOSITORY = "registry.example.org/team/kit"


def new_signer(algorithm: Algorithm = Algorithm.ECDSA_P256) -> SigningKey:
    """A new key, without a file."""
    private, _ = new_key(algorithm, None)
    return read_signing_key(private, "test.key", lambda: b"")


def described(text: str) -> Descriptor:
    """The descriptor of a manifest that nobody reads."""
    return Descriptor(MANIFEST, Digest.of(text.encode()), len(text))


def ring_of(*signers: SigningKey, **limits: int) -> KeyRing:
    """Trust these keys, each for the same time."""
    return KeyRing(tuple(TrustedKey(one.public, "test.pub", **limits) for one in signers))


def bundled(
    signer: SigningKey,
    subject: Descriptor,
    predicate_type: str = SIGNED,
    seconds: int | None = SIGNED_SECONDS,
) -> Artifact:
    """An artifact with a signed statement about a manifest."""
    statement = Statement(subject.digest, predicate_type, {}, seconds)
    return bundle_artifact(signed_bundle(statement.as_bytes(), signer), statement, subject)


def with_bundle(bundle: bytes, subject: Descriptor) -> Artifact:
    """An artifact with any bytes as its bundle."""
    return artifact_of(
        BUNDLE_TYPE, [Attachment(BUNDLE_TYPE, BytesBlob(bundle), {})], subject=subject
    )


def bundle_in(artifact: Artifact) -> dict[str, object]:
    """The JSON of an artifact's bundle."""
    form: dict[str, object] = json.loads(b"".join(map(bytes, artifact.blobs[0].chunks())))
    return form


def simple(
    signers: Sequence[SigningKey], subject: Descriptor, repository: str = REPOSITORY
) -> Artifact:
    """An artifact in the older layout with a signature by each key."""
    payload = simple_payload(subject.digest, repository, SIGNED_SECONDS)
    return signature_artifact([simple_signature(payload, one) for one in signers], subject)


@dataclass
class Listed:
    """Lists the artifacts that it is given as those about any manifest."""

    artifacts: list[Artifact] = field(default_factory=list)

    def listed(self, subject: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        found = (one.descriptor for one in self.artifacts)
        return tuple(one for one in found if artifact_type in {None, one.artifact_type})

    def artifact(self, listed: Descriptor) -> Artifact:
        return next(one for one in self.artifacts if one.digest == listed.digest)
