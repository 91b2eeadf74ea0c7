"""Sigstore bundles v0.3 with a DSSE envelope: writes, reads and verifies them with keys.

Raises TrustError. A bundle is the layer of an artifact that refers to what it is about. Formats:
sigstore/protobuf-specs, sigstore_bundle.proto; DSSE v1.0; cosign, specs/BUNDLE_SPEC.md.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from securesystemslib.dsse import Envelope

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import SigningKey
from mealkit.trust.statement import PAYLOAD_TYPE, Statement, invalid, read_statement, rfc3339
from mealkit.trust.verified import Form, KeySigner, Verified
from mealkit.untrusted import UntrustedError, parse_json_object, shown

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""The type of the artifact and of its one layer."""

MAX_BUNDLE_BYTES = 16 * 1024 * 1024
"""The maximum size of a bundle; the largest contain an SBOM."""

_MATERIALS = frozenset({"publicKey", "certificate", "x509CertificateChain"})
_CONTENT = "dev.sigstore.bundle.content"
_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
_CREATED = "org.opencontainers.image.created"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle: a signed payload, and the name of the key or the certificate of the signer."""

    payload: bytes
    payload_type: str
    signature: bytes
    hint: str | None
    """The name of the key that the signer states; it is not signed."""
    certificate: bytes | None
    """The signer's certificate (DER), if it was signed with an identity."""

    @property
    def signed_bytes(self) -> bytes:
        """What is signed: DSSE's pre-authentication encoding of type and payload."""
        return Envelope(self.payload, self.payload_type, {}).pae()

    def key_in(self, ring: KeyRing) -> TrustedKey:
        """Return the trusted key that made the signature.

        Raises:
            TrustError: ``SIGNATURE_KEY``: it is another key; ``SIGNATURE_ALTERED``: it states a
                trusted key, and does not match it.
        """
        found = ring.signer_of(self.signature, self.signed_bytes)
        if found is not None:
            return found
        for item in ring.keys:
            if self.hint in {item.key.hint, item.key.fingerprint}:
                message = f"a signature states the key {item.label}, but that key did not make it"
                raise failure("SIGNATURE_ALTERED", message)
        raise failure(
            "SIGNATURE_KEY",
            f"a signature was made by {_stated(self)}, which is not trusted",
            measured=_stated(self),
            required=ring.names,
        )


def signed_bundle(payload: bytes, key: SigningKey, hint: str | None = None) -> bytes:
    """Return a bundle with a payload, signed by a key; ``hint`` is by default cosign's name."""
    encoded = Envelope(payload, PAYLOAD_TYPE, {}).pae()
    return canonical_json(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": key.public.hint if hint is None else hint},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _base64(key.sign(encoded)), "keyid": ""}],
            },
        }
    )


def bundle_artifact(bundle: bytes, statement: Statement, subject: Descriptor) -> Artifact:
    """Return the artifact with a bundle, as cosign attaches it to what it is about."""
    annotations = {_CONTENT: "dsse-envelope", _PREDICATE_TYPE: statement.predicate_type}
    if statement.signed_seconds is not None:
        annotations[_CREATED] = rfc3339(statement.signed_seconds)
    layer = Attachment(BUNDLE_TYPE, BytesBlob(bundle), {})
    return artifact_of(BUNDLE_TYPE, [layer], subject=subject, annotations=annotations)


def read_bundle(raw: bytes) -> Bundle:
    """Read a bundle.

    Raises:
        TrustError: ``SIGNATURE_INVALID``: it is not a bundle v0.3 with one envelope and exactly one
            signature, or it is too large.
    """
    if len(raw) > MAX_BUNDLE_BYTES:
        raise invalid(f"a bundle has {len(raw)} bytes; the limit is {MAX_BUNDLE_BYTES}")
    try:
        form = parse_json_object(raw)
    except UntrustedError as error:
        raise invalid(f"the bundle cannot be read: {error}") from error
    if form.get("mediaType") != BUNDLE_TYPE:
        raise invalid(f"the bundle is of the type {shown(str(form.get('mediaType')))}")
    if "messageSignature" in form:
        raise invalid("the bundle signs a file, not a statement about an image")
    envelope = _object(form, "dsseEnvelope")
    material = _object(form, "verificationMaterial")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise invalid("the bundle's envelope does not have exactly one signature")
    if not isinstance(signatures[0], dict):
        raise invalid("the bundle's signature is not an object")
    payload_type = envelope.get("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise invalid(f"the bundle's payload is of the type {shown(str(payload_type))}")
    hint, certificate = _material(material)
    return Bundle(
        _bytes(envelope, "payload"), PAYLOAD_TYPE, _bytes(signatures[0], "sig"), hint, certificate
    )


def verified_bundle(bundle: Bundle, subject: Digest, ring: KeyRing, now_seconds: float) -> Verified:
    """Return what a bundle of a key proves about a manifest; ``artifact`` is set by the caller.

    Raises:
        TrustError: ``SIGNATURE_*``.
    """
    trusted = bundle.key_in(ring)
    statement = statement_about(bundle, subject)
    trusted.require_valid(statement.signed_seconds, now_seconds)
    return Verified(
        subject,
        KeySigner(trusted.key.fingerprint),
        Form.BUNDLE,
        statement.predicate_type,
        statement.predicate,
        subject,
        statement.signed_seconds,
    )


def statement_about(bundle: Bundle, subject: Digest) -> Statement:
    """Return the statement of a bundle, which must be about one manifest.

    Raises:
        TrustError: ``SIGNATURE_SUBJECT``: it is about another; ``SIGNATURE_INVALID``.
    """
    statement = read_statement(bundle.payload)
    if statement.subject != subject:
        raise other_subject(statement.subject, subject)
    return statement


def other_subject(found: str, wanted: Digest) -> MealkitError:
    """Return the problem of a signature that was made for another image."""
    message = "a signature was made for another image"
    return failure("SIGNATURE_SUBJECT", message, measured=found, required=wanted)


def decoded(text: Any, what: str) -> bytes:
    """Decode base64, in its strict form.

    Raises:
        TrustError: ``SIGNATURE_INVALID``.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise invalid(f"{what} is not valid base64") from error


def _material(material: dict[str, Any]) -> tuple[str | None, bytes | None]:
    """Return the hint of a key, or the certificate; a bundle has one of them."""
    if len(_MATERIALS & material.keys()) > 1:
        raise invalid("the bundle names both a key and a certificate")
    if "publicKey" in material:
        hint = _object(material, "publicKey").get("hint", "")
        if not isinstance(hint, str) or len(hint) > 128:
            raise invalid("the bundle's name of its key is not a short text")
        return hint, None
    if "certificate" in material:
        return None, _bytes(_object(material, "certificate"), "rawBytes")
    if "x509CertificateChain" in material:  # counts only for a verifier that has the key
        return None, None
    raise invalid("the bundle names neither a key nor a certificate")


def _stated(bundle: Bundle) -> str:
    if bundle.certificate is not None:
        return "an identity with a certificate"
    if not bundle.hint:
        return "a key without a name"
    try:
        return f"the key {base64.b64decode(bundle.hint, validate=True).hex()}"
    except (ValueError, binascii.Error):
        return f"the key {shown(bundle.hint)}"


def _object(form: dict[str, Any], name: str) -> dict[str, Any]:
    found = form.get(name)
    if not isinstance(found, dict):
        raise invalid(f"the bundle's {name} is missing or not an object")
    return found


def _bytes(form: dict[str, Any], name: str) -> bytes:
    return decoded(form.get(name), f"the bundle's {name}")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
