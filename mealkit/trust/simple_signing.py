"""Signatures in cosign's older layout, which podman, skopeo, bootc and CRI-O read.

The signatures of an image are the layers of one artifact under the tag ``sha256-HEX.sig``. The
signed payload names the repository, so podman refuses it for a copy elsewhere. Raises TrustError.
Formats: cosign, specs/SIGNATURE_SPEC.md; containers/image, docs/containers-signature.5.md.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.descriptor import CONFIG, Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.trust.bundle import decoded, other_subject
from mealkit.trust.keyring import KeyRing
from mealkit.trust.signing_keys import SigningKey
from mealkit.trust.statement import invalid
from mealkit.trust.verified import SIGNED, Form, KeySigner, Verified
from mealkit.untrusted import UntrustedError, parse_json_object, shown

SIGNATURE_ARTIFACT_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json"
PAYLOAD_MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
"""The type of a layer with a payload; its signature is in the layer's annotation."""
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"

MAX_PAYLOAD_BYTES = 64 * 1024
MAX_SIGNATURES = 64
"""More signatures in one artifact are not read."""

_TYPE = "cosign container image signature"
_CREATOR = "mealkit"
# The end of the year 9999, which is the last that a date can have.
_MOST_SECONDS = 253_402_300_799


@dataclass(frozen=True, slots=True)
class SimpleSignature:
    """A payload and its signature."""

    payload: bytes
    signature: bytes


def signature_tag(subject: Digest) -> str:
    """Return the tag of the artifact with an image's signatures."""
    return f"sha256-{subject.hex}.sig"


def simple_payload(subject: Digest, repository: str, signed_seconds: int) -> bytes:
    """Return the bytes to sign: the digest of an image, and the repository that it is in."""
    return canonical_json(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": str(subject)},
                "type": _TYPE,
            },
            "optional": {"creator": _CREATOR, "timestamp": signed_seconds},
        }
    )


def simple_signature(payload: bytes, key: SigningKey) -> Attachment:
    """Return the layer with a signed payload."""
    text = base64.b64encode(key.sign(payload)).decode()
    return Attachment(PAYLOAD_MEDIA_TYPE, BytesBlob(payload), {SIGNATURE_ANNOTATION: text})


def signature_artifact(layers: Sequence[Attachment], subject: Descriptor) -> Artifact:
    """Return the artifact with all signatures of an image.

    cosign reads these only with the config of an image, so it has one that lists its layers.
    """
    diff_ids = [str(layer.blob.digest) for layer in layers]
    config = canonical_json(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "created": "1970-01-01T00:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )
    return artifact_of(
        SIGNATURE_ARTIFACT_TYPE,
        layers,
        config=Attachment(CONFIG, BytesBlob(config), {}),
        subject=subject,
    )


def verified_simple(
    found: SimpleSignature, subject: Digest, ring: KeyRing, now_seconds: float
) -> Verified:
    """Return what a signature proves about a manifest; ``artifact`` is set by the caller.

    Raises:
        TrustError: ``SIGNATURE_*``.
    """
    if len(found.payload) > MAX_PAYLOAD_BYTES:
        raise invalid(f"a payload has {len(found.payload)} bytes; the limit is {MAX_PAYLOAD_BYTES}")
    trusted = ring.signer_of(found.signature, found.payload)
    if trusted is None:
        # The layout does not name a key, so another key and an altered payload look alike.
        message = "a signature in the older layout was not made by a trusted key, or was altered"
        raise failure("SIGNATURE_KEY", message, required=ring.names)
    try:
        form = parse_json_object(found.payload)
    except UntrustedError as error:
        raise invalid(f"its payload cannot be read: {error}") from error
    critical = _object(form, "critical")
    if critical.get("type") != _TYPE:
        raise invalid(f"its payload is of the type {shown(str(critical.get('type')))}")
    stated = _object(critical, "image").get("docker-manifest-digest")
    if stated != subject:
        raise other_subject(shown(str(stated)), subject)
    reference = _object(critical, "identity").get("docker-reference")
    signed_seconds = _signed_seconds(form)
    trusted.require_valid(signed_seconds, now_seconds)
    return Verified(
        subject,
        KeySigner(trusted.key.fingerprint),
        Form.SIMPLE_SIGNING,
        SIGNED,
        {},
        subject,
        signed_seconds,
        reference if isinstance(reference, str) else None,
    )


def signature_of(descriptor: Descriptor) -> bytes:
    """Return the signature in the annotation of a layer.

    Raises:
        TrustError: ``SIGNATURE_INVALID``.
    """
    text = descriptor.annotations.get(SIGNATURE_ANNOTATION)
    if not text:
        raise invalid("a layer has no signature in its annotations")
    return decoded(text, "the signature in a layer's annotations")


def _signed_seconds(form: dict[str, Any]) -> int | None:
    optional = form.get("optional")
    found = optional.get("timestamp") if isinstance(optional, dict) else None
    if found is None:
        return None
    if type(found) is not int or not 0 <= found <= _MOST_SECONDS:
        raise invalid(f"its time is {shown(str(found))}, not seconds since 1970")
    return found


def _object(form: dict[str, Any], name: str) -> dict[str, Any]:
    found = form.get(name)
    if not isinstance(found, dict):
        raise invalid(f"its payload has no {name}")
    return found
