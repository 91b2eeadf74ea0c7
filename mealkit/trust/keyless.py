"""Signatures by identities that Sigstore's certificate authority has confirmed, instead of keys.

Uses the library ``sigstore``, an extra of mealkit. Verifying makes no network requests: the roots
of trust come from a file. Signing asks the services that a file names, or Sigstore's own; the
identity comes from the CI. Raises TrustError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.trust.bundle import Bundle, statement_about
from mealkit.trust.statement import invalid
from mealkit.trust.verified import Form, IdentitySigner, Verified
from mealkit.untrusted import parse_json_object, shown


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity that a verifier trusts: an address or a workflow, and who confirms it."""

    identity: str
    issuer: str
    trusted_root: Path
    """A file with the certificates and logs to trust, in Sigstore's format."""


def verified_by_identity(
    raw: bytes, bundle: Bundle, subject: Digest, identities: Sequence[Identity]
) -> Verified:
    """Return what a bundle with a certificate proves; ``artifact`` is set by the caller.

    The time is that of the transparency log, not one that the signer states.

    Raises:
        TrustError: ``SIGNATURE_*``; ``KEYLESS_MISSING``: the library is not installed.
    """
    if not identities:
        message = "a signature was made with an identity, and no identity is trusted"
        raise failure("SIGNATURE_KEY", message)
    signer, payload = _signer(raw, identities)
    if payload != bundle.payload:
        raise invalid("its payload can be read in two ways")
    statement = statement_about(bundle, subject)
    return Verified(
        subject,
        signer,
        Form.BUNDLE,
        statement.predicate_type,
        statement.predicate,
        subject,
        _logged_seconds(raw),
    )


def sign_with_identity(statement: bytes, trust_config: Path | None) -> bytes:
    """Return the bundle of a statement, signed with the identity that this CI job has.

    ``trust_config`` is a file in Sigstore's format (ClientTrustConfig) with the services and their
    certificates; None: Sigstore's public ones. The statement gets into a public log there.

    Raises:
        TrustError: ``KEYLESS_MISSING``; ``KEYLESS_FAILED``: this is not a CI job with an identity,
            or a service refuses.
    """
    try:
        from sigstore.dsse import Statement as SigstoreStatement  # noqa: PLC0415
        from sigstore.errors import Error  # noqa: PLC0415
        from sigstore.models import ClientTrustConfig  # noqa: PLC0415
        from sigstore.oidc import IdentityToken, detect_credential  # noqa: PLC0415
        from sigstore.sign import SigningContext  # noqa: PLC0415
    except ImportError as error:
        raise _missing() from error
    try:
        token = detect_credential()
        if token is None:
            raise failure("KEYLESS_FAILED", "this is not a CI job that has an identity")
        config = (
            ClientTrustConfig.production()
            if trust_config is None
            else ClientTrustConfig.from_json(trust_config.read_text())
        )
        context = SigningContext.from_trust_config(config)
        with context.signer(IdentityToken(token)) as signer:
            signed = signer.sign_dsse(SigstoreStatement(_with_name(statement)))
    except (Error, OSError, ValueError) as error:
        message = f"the image was not signed with an identity: {shown(str(error))}"
        raise failure("KEYLESS_FAILED", message) from None  # the cause may show the token
    return bytes(signed.to_json().encode())


def _with_name(statement: bytes) -> bytes:
    """Return a statement whose subject has a name, which the library requires; it is empty."""
    form = parse_json_object(statement)
    (subject,) = form["subject"]
    return canonical_json({**form, "subject": [{"name": "", **subject}]})


def _signer(raw: bytes, identities: Sequence[Identity]) -> tuple[IdentitySigner, bytes]:
    """Return who signed a bundle, and the payload that the library has verified."""
    try:
        from sigstore.errors import Error  # noqa: PLC0415  an extra, and slow to import
        from sigstore.models import Bundle as SigstoreBundle  # noqa: PLC0415
        from sigstore.models import TrustedRoot  # noqa: PLC0415
        from sigstore.verify import Verifier, policy  # noqa: PLC0415
    except ImportError as error:
        raise _missing() from error
    reasons = []
    for item in identities:
        try:
            verifier = Verifier(trusted_root=TrustedRoot.from_file(str(item.trusted_root)))
            wanted = policy.Identity(identity=item.identity, issuer=item.issuer)
            _, payload = verifier.verify_dsse(SigstoreBundle.from_json(raw), wanted)
        except (Error, OSError, ValueError) as error:
            reasons.append(shown(str(error)))
        else:
            return IdentitySigner(item.identity, item.issuer), payload
    names = ", ".join(f"{item.identity} by {item.issuer}" for item in identities)
    message = f"a signature was not made by a trusted identity: {'; '.join(reasons)}"
    raise failure("SIGNATURE_KEY", message, required=names)


def _logged_seconds(raw: bytes) -> int | None:
    """Return the time of a verified bundle's entry in the log."""
    material: dict[str, Any] = parse_json_object(raw)["verificationMaterial"]
    entries = material.get("tlogEntries") or [{}]
    found = entries[0].get("integratedTime")
    return int(found) if found else None


def _missing() -> MealkitError:
    return failure("KEYLESS_MISSING", "the library sigstore is not installed")
