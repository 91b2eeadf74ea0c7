"""Statements about a manifest (in-toto Attestation Framework, Statement v1).

Raises TrustError (``SIGNATURE_INVALID``) for a statement that is not exactly one claim about
exactly one manifest. Format: in-toto/attestation, spec/v1/statement.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError, parse_json_object, shown

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""The type of the payload of a DSSE envelope with a statement."""

SIGNED_AT = "dev.mealkit.signed-at"
"""The annotation of the subject with the time of the signature, where cosign has its own."""

_MOST_TYPE_CHARACTERS = 512
_TYPE = re.compile(r"[!-~]+")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Statement:
    """A claim of one type about one manifest."""

    subject: Digest
    predicate_type: str
    predicate: Mapping[str, Any]
    signed_seconds: int | None = None
    """When it was signed, in seconds since 1970, as the signer states it."""

    def as_bytes(self) -> bytes:
        """Return canonical JSON, in the form of ``cosign sign`` and ``cosign attest``."""
        subject: dict[str, Any] = {"digest": {"sha256": self.subject.hex}}
        if self.signed_seconds is not None:
            subject["annotations"] = {SIGNED_AT: rfc3339(self.signed_seconds)}
        return canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [subject],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )


def read_statement(payload: bytes) -> Statement:
    """Read the payload of an envelope; the caller limits its size and checks its signature.

    Raises:
        TrustError: ``SIGNATURE_INVALID``.
    """
    form = statement_form(payload)
    subject = only_subject(form)
    digests = subject.get("digest")
    found = digests.get("sha256") if isinstance(digests, dict) else None
    try:
        digest = Digest(f"sha256:{found}")
    except ValueError as error:
        raise invalid(f"its subject has no digest of the kind sha256: {error}") from error
    return Statement(digest, form["predicateType"], form["predicate"], _signed_seconds(subject))


def statement_form(payload: bytes) -> dict[str, Any]:
    """Read a statement about anything; its predicate is an object.

    Raises:
        TrustError: ``SIGNATURE_INVALID``.
    """
    try:
        form = parse_json_object(payload)
    except UntrustedError as error:
        raise invalid(f"its statement cannot be read: {error}") from error
    if form.get("_type") != STATEMENT_TYPE:
        raise invalid(f"its statement is of the type {shown(str(form.get('_type')))}")
    kind, predicate = form.get("predicateType"), form.get("predicate", {})
    if not isinstance(kind, str) or len(kind) > _MOST_TYPE_CHARACTERS or not _TYPE.fullmatch(kind):
        raise invalid(f"its predicate type is {shown(str(kind))}")
    if not isinstance(predicate, dict):
        raise invalid("its predicate is not an object")
    return {**form, "predicate": predicate}


def only_subject(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one subject of a statement.

    With several subjects, a verifier that asks whether its image is among them can be satisfied by
    a statement that was made about something else.

    Raises:
        TrustError: ``SIGNATURE_INVALID``.
    """
    subjects = form.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        count = len(subjects) if isinstance(subjects, list) else "no list of"
        raise invalid(f"its statement has {count} subjects, expected exactly one")
    return subjects[0]


def rfc3339(seconds: float) -> str:
    """Return a time in seconds since 1970 as RFC 3339, in UTC and whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_TIME)


def read_rfc3339(text: str) -> datetime:
    """Read a time as `rfc3339` writes it.

    Raises:
        ValueError: the text is anything else.
    """
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def invalid(reason: str) -> MealkitError:
    """Return the problem of a signature that cannot be read."""
    return failure("SIGNATURE_INVALID", f"a signature is not valid: {reason}")


def _signed_seconds(subject: Mapping[str, Any]) -> int | None:
    annotations = subject.get("annotations")
    text = annotations.get(SIGNED_AT) if isinstance(annotations, dict) else None
    if text is None:
        return None
    try:
        return int(read_rfc3339(text).timestamp())
    except (ValueError, TypeError) as error:
        raise invalid(f"its time is {shown(str(text))}, not a time in UTC") from error
