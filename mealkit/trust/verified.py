"""What signatures prove about a manifest: who signed which statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mealkit.digest import Digest

SIGNED = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a plain signature (cosign, pkg/types/predicate.go)."""
SBOM = "https://cyclonedx.org/bom"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION_RESULT = "https://in-toto.io/attestation/svr/v0.2"

_TITLES = {
    SIGNED: "signature",
    SBOM: "SBOM",
    PROVENANCE: "provenance",
    TEST_RESULT: "test result",
    VERIFICATION_RESULT: "verification result",
}


def title_of(predicate_type: str) -> str:
    """Return the name of a kind of statement, for people; of other kinds the type itself."""
    return _TITLES.get(predicate_type, predicate_type)


class Form(StrEnum):
    """How a signature is written."""

    BUNDLE = "bundle"
    """A Sigstore bundle v0.3 with a DSSE envelope."""
    SIMPLE_SIGNING = "simple-signing"
    """The older layout under the tag ``sha256-HEX.sig``, which podman and skopeo read."""


@dataclass(frozen=True, slots=True)
class KeySigner:
    """The owner of a key; ``fingerprint`` is the SHA-256 of its DER public key, in hex."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class IdentitySigner:
    """An identity that Sigstore's certificate authority has confirmed."""

    identity: str
    issuer: str


Signer = KeySigner | IdentitySigner


@dataclass(frozen=True, slots=True)
class Verified:
    """A statement about a manifest whose signature was verified."""

    subject: Digest
    """The digest of the manifest or index that the statement is about."""
    signer: Signer
    form: Form
    predicate_type: str
    predicate: Mapping[str, Any]
    """Empty for a plain signature."""
    artifact: Digest
    """The digest of the manifest of the artifact with the signature."""
    signed_seconds: int | None = None
    """When it was signed, in seconds since 1970, as the signed bytes state it; None: they do not.

    A signer can state any time; it is a proof only as far as the key is trusted.
    """
    reference: str | None = None
    """The repository that a signature in the older layout names; podman accepts it only there."""
