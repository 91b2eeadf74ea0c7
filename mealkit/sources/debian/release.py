"""Reads a suite's signed index, InRelease, and checks its signature.

Raises SourceError for an index that no key in the keyring signed, that has expired, or that is for
another suite.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.sources.debian.paragraphs import paragraphs, size_in_bytes

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END = b"-----END PGP SIGNATURE-----"
# SHA-256, 384, 512 and 224 in the numbering of RFC 9580, section 9.5; MD5 and SHA-1 are forgeable.
_STRONG_HASHES = frozenset({"8", "9", "10", "11"})
_CHECK_SECONDS = 60
_NAMES = ("codename", "suite")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_DOUBTS = {
    "NO_PUBKEY": "the keyring lacks the key",
    "EXPKEYSIG": "the key has expired",
    "EXPSIG": "the signature has expired",
    "REVKEYSIG": "the key was revoked",
}


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that a release lists: its path below the suite's folder, digest and size."""

    path: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Release:
    """A suite's index: its names, its date and expiry, and the files that it lists."""

    names: frozenset[str]
    date: datetime | None
    valid_until: datetime | None
    by_hash: bool
    files: dict[str, ListedFile]


def verified(signed: bytes, keyring: Path, where: str) -> bytes:
    """Return the text that a key in the keyring signed, without the bytes around it.

    One good signature by a known key is enough, as for apt: a release is signed by the keys of
    two Debian versions, and an older keyring has only one of them. A bad signature is always an
    error.

    Raises:
        SourceError: ``DEBIAN_UNSIGNED``.
    """
    if not _is_one_signed_message(signed):
        raise failure("DEBIAN_UNSIGNED", "the Debian index is not one signed message", where=where)
    gpgv = shutil.which("gpgv")
    if gpgv is None:
        raise failure(
            "DEBIAN_UNSIGNED",
            "gpgv, which checks Debian's signatures, is not installed",
            hint="apt-get install gpgv, or set base.allow_unsigned: true",
            where=where,
        )
    if not keyring.is_file():
        raise failure("DEBIAN_UNSIGNED", f"there is no keyring at {keyring}", where=where)
    with tempfile.TemporaryDirectory(prefix="mealkit-gpgv-") as folder:
        message, text = Path(folder, "InRelease"), Path(folder, "Release")
        message.write_bytes(signed)
        command = [gpgv, "--homedir", folder, "--status-fd", "1"]
        command += ["--keyring", str(keyring.absolute()), "--output", str(text), str(message)]
        try:
            ran = subprocess.run(
                command,
                capture_output=True,
                check=False,
                env={"LC_ALL": "C"},
                timeout=_CHECK_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise failure(
                "DEBIAN_UNSIGNED", "checking the signatures takes too long", where=where
            ) from error
        _judge(ran.stdout.decode(errors="replace"), where)
        return text.read_bytes()


def signed_text(message: bytes) -> bytes:
    """Return the text in a signed message without checking it; an unsigned message unchanged.

    Use it only if the kit's author allowed an unsigned mirror.
    """
    if not message.startswith(_BEGIN):
        return message
    body = message.partition(b"\n\n")[2].partition(_SIGNATURE)[0]
    # Dash escaping: RFC 9580, section 7.2.
    return b"\n".join(line.removeprefix(b"- ") for line in body.split(b"\n"))


def parse_release(text: bytes, where: str) -> Release:
    """Parse the text of a release. Format: the Debian repository format, section "Release" files.

    Raises:
        SourceError: ``DEBIAN_INDEX``, the text is not a release or lists no SHA-256 digests.
    """
    try:
        fields = next(paragraphs(text.decode()), {})
        return Release(
            names=frozenset(map(_suite, (fields[name] for name in _NAMES if name in fields))),
            date=_time(fields.get("date")),
            valid_until=_time(fields.get("valid-until")),
            by_hash=fields.get("acquire-by-hash") == "yes",
            files=dict(map(_listed, fields["sha256"].split("\n")[1:])),
        )
    except (ValueError, KeyError, OverflowError) as error:
        raise failure(
            "DEBIAN_INDEX", f"the Debian index cannot be read: {error}", where=where
        ) from error


def check_suite(release: Release, suite: str, where: str) -> None:
    """Raise if a release is for another suite.

    Raises:
        SourceError: DEBIAN_INDEX.
    """
    if suite not in release.names:
        found = " or ".join(sorted(release.names))
        raise failure(
            "DEBIAN_INDEX", f"the Debian index of {suite} states the suite {found}", where=where
        )


def check_release(release: Release, suite: str, where: str, now: datetime | None = None) -> None:
    """Raise if a release is for another suite, or has expired (such as an old one, replayed).

    Raises:
        SourceError: DEBIAN_INDEX.
    """
    check_suite(release, suite, where)
    now = now or datetime.now(UTC)
    if release.valid_until and release.valid_until < now:
        raise failure(
            "DEBIAN_INDEX",
            f"the Debian index of {suite} was valid until {release.valid_until:%Y-%m-%d %H:%M} UTC,"
            f" now it is {now:%Y-%m-%d %H:%M} UTC",
            hint="check this machine's clock; if it is right, use another mirror",
            where=where,
        )


def _is_one_signed_message(signed: bytes) -> bool:
    """Return whether the bytes are one signed message with nothing before or after it."""
    marks = [line.rstrip() for line in signed.split(b"\n") if line.startswith(b"-----")]
    return (
        marks == [_BEGIN, _SIGNATURE, _END]
        and signed.startswith(_BEGIN)
        and signed.rstrip().endswith(_END)
    )


def _judge(status: str, where: str) -> None:
    """Check gpgv's status lines. Format: GnuPG's doc/DETAILS, "status-fd"."""
    lines = [line.removeprefix("[GNUPG:] ").split() for line in status.splitlines()]
    for keyword, *words in lines:
        if keyword == "BADSIG":
            raise failure(
                "DEBIAN_UNSIGNED",
                f"the Debian index was changed after key {words[0]} signed it",
                hint="use another mirror: this one, or the network, changes what Debian signed",
                where=where,
            )
    if not _has_good_signature(lines):
        doubts = [
            f"{_DOUBTS[keyword]} (key {words[0]})"
            for keyword, *words in lines
            if keyword in _DOUBTS
        ]
        reason = "; ".join(doubts) or "there is no accepted signature"
        raise failure(
            "DEBIAN_UNSIGNED", f"the Debian index has no valid signature: {reason}", where=where
        )


def _has_good_signature(lines: list[list[str]]) -> bool:
    """Return whether a GOODSIG (known key, not expired, not revoked) has a strong hash.

    For each signature, VALIDSIG follows GOODSIG, EXPKEYSIG or another result.
    """
    verdict = ""
    for keyword, *words in lines:
        if keyword == "VALIDSIG" and verdict == "GOODSIG" and words[7] in _STRONG_HASHES:
            return True
        if keyword in {"NEWSIG", "GOODSIG", *_DOUBTS}:
            verdict = keyword
    return False


def _suite(text: str) -> str:
    if not _SUITE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not the name of a suite")
    return text


def _time(text: str | None) -> datetime | None:
    """Read a time as releases state it; all are in UTC, whatever zone is named or left out."""
    if text is None:
        return None
    found = parsedate_to_datetime(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _listed(line: str) -> tuple[str, ListedFile]:
    digits, size, path = line.split()
    return path, ListedFile(path, Digest.from_hex(digits), size_in_bytes(size))
