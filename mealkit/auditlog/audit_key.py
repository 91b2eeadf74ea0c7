"""The keys of an audit log: each line's code is an HMAC-SHA-256 with one of them.

Raises AuditError for a file that does not have keys. No message and no ``repr`` contains a key.
"""

import os
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, read_file

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

KEY_BYTES = 32
_BLOCK_BYTES = 64
_MAX_FILE_BYTES = 64 * 1024
_LINE = re.compile(r"[0-9a-fA-F]{64}")
_NAMED = b"mealkit audit key\n"


@dataclass(frozen=True, slots=True)
class AuditKey:
    """One key; ``id`` names it in the log, and does not reveal it."""

    secret: bytes = field(repr=False)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the id: the first half of a digest of the key."""
        digest = sha256(_NAMED + self.secret).hexdigest()
        object.__setattr__(self, "id", digest[:32])

    def state(self) -> "CodeState":
        """Return the beginning of a code; a copy for each line is faster than a new one."""
        padded = self.secret.ljust(_BLOCK_BYTES, b"\0")
        inner, outer = (sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
        return CodeState(inner, outer)


@dataclass(frozen=True, slots=True)
class CodeState:
    """HMAC-SHA-256 (RFC 2104) after its key; in two thirds of the time of the ``hmac`` module."""

    inner: "HASH" = field(repr=False)
    outer: "HASH" = field(repr=False)

    def code(self, data: bytes, more: bytes) -> bytes:
        """Return the HMAC of two pieces of data, one after the other."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(data)
        inner.update(more)
        outer.update(inner.digest())
        return outer.digest()


def read_audit_keys(path: Path) -> tuple[AuditKey, ...]:
    """Read a file of keys: a line of 64 hex digits for each, the current one first.

    Raises:
        AuditError: ``AUDIT_KEY``: the file cannot be read, or has a line that is not a key.
    """
    hint = f"create one: (umask 077; openssl rand -hex {KEY_BYTES} > {path})"
    try:
        text = read_file(path, _MAX_FILE_BYTES).decode("ascii")
    except (OSError, UntrustedError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a file of text"
        message = f"the audit log's key cannot be read: {reason}"
        raise failure("AUDIT_KEY", message, where=str(path), hint=hint) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            message = f"line {number} of the audit log's keys is not {2 * KEY_BYTES} hex digits"
            raise failure("AUDIT_KEY", message, where=str(path), hint=hint)
    if not lines:
        raise failure("AUDIT_KEY", "the file has no key", where=str(path), hint=hint)
    return tuple(AuditKey(bytes.fromhex(line)) for line in dict.fromkeys(lines))


def created_audit_key(path: Path) -> AuditKey:
    """Create a key in a file that only its owner can read.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    key = AuditKey(os.urandom(KEY_BYTES))
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o600)
    try:
        os.write(descriptor, f"{key.secret.hex()}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        # Unlike a rename, this fails if another process has created the key meanwhile.
        path.hardlink_to(partial)
    finally:
        partial.unlink()
    return key
