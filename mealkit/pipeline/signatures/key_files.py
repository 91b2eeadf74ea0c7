"""Reads and writes files with keys, and gets the passphrase of a private one.

A passphrase comes from a file descriptor, a file, ``MEALKIT_KEY_PASSPHRASE`` or the terminal, never
from the command line, which other users see. Raises TrustError, and BuildError for a file that
exists.
"""

import getpass
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mealkit.errors import failure, problem
from mealkit.progress import Progress
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import (
    MAX_KEY_BYTES,
    Algorithm,
    PublicKey,
    SigningKey,
    is_private,
    new_key,
    read_public_key,
    read_signing_key,
)
from mealkit.untrusted import UntrustedError, read_file

PASSPHRASE_VARIABLE = "MEALKIT_KEY_PASSPHRASE"  # noqa: S105  the name of the variable

_MOST_PASSPHRASE_BYTES = 1024
_LIMITS = ("from", "until", "revoked")


@dataclass(frozen=True, slots=True)
class PassphraseSource:
    """Where to read a passphrase: a descriptor, a file, else the variable, else the terminal."""

    descriptor: int | None = None
    file: Path | None = None

    def read(self, key: str, *, is_new: bool = False) -> bytes:
        """Return the passphrase of a key file; a new one is asked for twice.

        Raises:
            TrustError: ``KEY_PASSPHRASE``: there is none, or it is empty or too long.
        """
        if self.descriptor is not None:
            return _checked(_from_descriptor(self.descriptor), key)
        if self.file is not None:
            return _checked(_from_file(self.file), key)
        configured = os.environ.get(PASSPHRASE_VARIABLE)
        if configured:
            return _checked(os.fsencode(configured), key)
        if not sys.stdin.isatty():
            message = f"{key} needs a passphrase, and there is no terminal to ask for it"
            raise failure("KEY_PASSPHRASE", message, where=key)
        first = getpass.getpass(f"passphrase of {key}: ")
        if is_new and getpass.getpass("once more: ") != first:
            raise failure("KEY_PASSPHRASE", "the two passphrases differ", where=key)
        return _checked(os.fsencode(first), key)


def public_key_at(path: Path) -> PublicKey:
    """Read a public key in PEM.

    Raises:
        TrustError: ``KEY_INVALID``.
    """
    return read_public_key(_bytes(path), str(path))


def signing_key_at(path: Path, passphrase: PassphraseSource, progress: Progress) -> SigningKey:
    """Read a private key; warn if other users can read it.

    Raises:
        TrustError: ``KEY_INVALID``, ``KEY_PASSPHRASE``.
    """
    pem = _bytes(path)
    key = read_signing_key(pem, str(path), lambda: passphrase.read(str(path)))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 and is_private(pem):
        message = f"other users can read the private key {path}: its mode is {mode:04o}"
        hint = f"chmod 600 {path}; create a new key if it may have been copied"
        progress.notice(problem("KEY_EXPOSED", message, where=str(path), hint=hint))
    return key


def trusted_keys(texts: Sequence[str]) -> KeyRing:
    """Parse ``FILE[,from=DATE][,until=DATE][,revoked=DATE]`` for each key.

    Raises:
        TrustError: ``KEY_INVALID``.
        KitError: ``USAGE``: a limit is not a date; a key has two different limits.
    """
    found: dict[str, TrustedKey] = {}
    for text in texts:
        item = _trusted_key(text)
        before = found.setdefault(item.key.fingerprint, item)
        if before.limits != item.limits:
            message = f"{before.source} and {item.source} are the same key, with different dates"
            raise failure("USAGE", message, hint=f"name {item.label} once")
    return KeyRing(tuple(found.values()))


def write_key_pair(path: Path, algorithm: Algorithm, passphrase: bytes | None) -> PublicKey:
    """Create a key pair: the private key in ``path``, for its owner only, the other in ``.pub``.

    Raises:
        BuildError: ``OUTPUT_EXISTS``: one of the files exists.
        StoreError: ``DISK_DENIED``.
    """
    public_path = path.parent / f"{path.name}.pub"
    for file in (path, public_path):
        if file.exists():
            hint = "choose another name; a key that was used must stay, so that it can be checked"
            raise failure("OUTPUT_EXISTS", f"{file} exists", where=str(file), hint=hint)
    private, public = new_key(algorithm, passphrase)
    _write(public_path, public, 0o644)
    _write(path, private, 0o600)
    return read_public_key(public, str(public_path))


def _trusted_key(text: str) -> TrustedKey:
    file, *limits = text.split(",")
    found: dict[str, int] = {}
    for item in limits:
        name, _, date = item.partition("=")
        if name not in _LIMITS or name in found:
            message = f"{item!r} in --key is not one of {', '.join(_LIMITS)} with a date"
            raise failure("USAGE", message, hint=f"--key {file},until=2027-12-31")
        found[name] = _seconds(date)
    return TrustedKey(
        public_key_at(Path(file)), file, found.get("from"), found.get("until"), found.get("revoked")
    )


def _seconds(text: str) -> int:
    try:
        date = datetime.fromisoformat(text)
        in_utc = date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        hint = "write it as 2027-12-31 or 2027-12-31T12:00:00Z"
        raise failure("USAGE", f"{text!r} is not a date", hint=hint) from error
    return int(in_utc.timestamp())


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path, MAX_KEY_BYTES)
    except (OSError, UntrustedError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"{path} cannot be read: {reason}"
        raise failure("KEY_INVALID", message, where=str(path)) from error


def _from_file(path: Path) -> bytes:
    try:
        return read_file(path, _MOST_PASSPHRASE_BYTES)
    except (OSError, UntrustedError) as error:
        message = f"the file with the passphrase, {path}, cannot be read"
        raise failure("KEY_PASSPHRASE", message, where=str(path)) from error


def _from_descriptor(descriptor: int) -> bytes:
    data = b""
    try:
        while len(data) <= _MOST_PASSPHRASE_BYTES:
            chunk = os.read(descriptor, _MOST_PASSPHRASE_BYTES + 1 - len(data))
            if not chunk:
                break
            data += chunk
    except OSError as error:
        message = f"the file descriptor {descriptor} with the passphrase cannot be read"
        raise failure("KEY_PASSPHRASE", message) from error
    return data


def _checked(secret: bytes, key: str) -> bytes:
    found = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not found:
        raise failure("KEY_PASSPHRASE", f"the passphrase of {key} is empty", where=key)
    if len(found) > _MOST_PASSPHRASE_BYTES:
        message = f"the passphrase of {key} has more than {_MOST_PASSPHRASE_BYTES} bytes"
        raise failure("KEY_PASSPHRASE", message, where=key)
    return found


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        # Never a moment in which others can read it, and never through a link.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb") as stream:  # noqa: PTH123  a descriptor
            stream.write(data)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise failure("DISK_DENIED", message, where=str(path)) from error
