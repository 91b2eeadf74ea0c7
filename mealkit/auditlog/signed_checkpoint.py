"""What a signed checkpoint states: how far a chain had come, and the digests of its files.

So everything up to the checkpoint can be verified with a public key, by anyone, without the log's
own key. Format: an in-toto Statement v1 whose subjects are the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mealkit.auditlog.audit_line import number_field
from mealkit.auditlog.checkpoint import Checkpoint, checkpoint_of
from mealkit.digest import canonical_json, file_chunks
from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json_object

PREDICATE_TYPE = "https://mealkit.dev/audit-checkpoint/v1"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_MAX_FILES = 20_000


@dataclass(frozen=True, slots=True)
class CoveredFile:
    """A file of a chain as far as the checkpoint knows it."""

    name: str
    size_bytes: int
    """How much of the file was there."""
    sha256: str
    """The digest of this much of the file."""


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, and the files that it covers."""

    checkpoint: Checkpoint
    kit: str
    files: tuple[CoveredFile, ...]

    def payload(self) -> bytes:
        """Return the statement to sign."""
        subjects = [
            {
                "name": item.name,
                "digest": {"sha256": item.sha256},
                "annotations": {"bytes": item.size_bytes},
            }
            for item in self.files
        ]
        return canonical_json(
            {
                "_type": _STATEMENT_TYPE,
                "subject": subjects,
                "predicateType": PREDICATE_TYPE,
                "predicate": {"kit": self.kit, "checkpoint": self.checkpoint.as_json()},
            }
        )


def signed_checkpoint(payload: bytes, where: str) -> SignedCheckpoint:
    """Read the statement of a checkpoint whose signature was checked.

    Raises:
        AuditError: ``AUDIT_MISSING``, it states something else.
    """
    try:
        form = parse_json_object(payload, max_values=_MAX_FILES * 8)
        predicate = form["predicate"]
        found = checkpoint_of(predicate["checkpoint"])
        files = tuple(_covered(item) for item in form["subject"])
        if form["predicateType"] != PREDICATE_TYPE or found is None:
            raise ValueError("it states something else")  # noqa: TRY301
        return SignedCheckpoint(found, str(predicate.get("kit", "")), files)
    except (UntrustedError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the signed statement is not a checkpoint of an audit log: {error}"
        raise failure("AUDIT_MISSING", message, where=where) from error


def covered_file(path: Path, size_bytes: int) -> CoveredFile:
    """Return the digest of the beginning of a file.

    Raises:
        OSError: it cannot be read, or is shorter.
    """
    digest = sha256()
    for chunk in file_chunks(path, 0, size_bytes):
        digest.update(chunk)
    return CoveredFile(path.name, size_bytes, digest.hexdigest())


def _covered(form: Mapping[str, Any]) -> CoveredFile:
    size_bytes = number_field(form["annotations"], "bytes")
    return CoveredFile(str(form["name"]), size_bytes, str(form["digest"]["sha256"]))
