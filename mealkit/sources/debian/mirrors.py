"""Finds the Debian mirrors of this machine: mealkit's own settings first, then apt's sources.

There is no default mirror: raises SourceError if the machine names none.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mealkit.errors import failure
from mealkit.sources.debian.paragraphs import paragraphs

_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)

# An apt entry is Debian's own archive if it offers `main` of one of Debian's suites. Vendors use
# other names for suites (`cloud-sdk-bookworm`, `bookworm-pgdg`) or components.
_DEBIAN_SUITE = re.compile(
    r"(?:oldoldstable|oldstable|stable|testing|unstable|sid"
    r"|bullseye|bookworm|trixie|forky|duke)"
    r"(?P<part>-security|/updates|-updates|-backports|-backports-sloppy|-proposed-updates)?/?"
)
_SECURITY = frozenset({"-security", "/updates"})


@dataclass(frozen=True, slots=True)
class DebianMirrors:
    """The mirrors for Debian's index and packages, best first, and the keys that sign them.

    ``archives`` have SUITE and SUITE-updates, ``security`` has SUITE-security (it may be empty).
    The addresses have no trailing slash; http, https and file are supported.
    """

    archives: tuple[str, ...]
    security: tuple[str, ...]
    keyring: Path


def debian_mirrors(
    environ: Mapping[str, str] = os.environ, apt_folder: Path = Path("/etc/apt")
) -> DebianMirrors:
    """Return the mirrors that the environment names, or else those of the system's apt sources.

    ``MEALKIT_DEBIAN_MIRROR`` and ``MEALKIT_DEBIAN_SECURITY_MIRROR`` contain addresses separated by
    spaces. If the first is set, apt's sources are not read: with an internal mirror, no other host
    may be contacted. ``MEALKIT_DEBIAN_KEYRING`` names another keyring.

    Raises:
        SourceError: DEBIAN_NO_MIRROR, nothing is configured.
    """
    keyring = _keyring(environ)
    named = environ.get("MEALKIT_DEBIAN_MIRROR", "").split()
    named_security = environ.get("MEALKIT_DEBIAN_SECURITY_MIRROR")
    if named:
        own = tuple(_addresses(named))
        if not own:
            raise failure(
                "DEBIAN_NO_MIRROR",
                "MEALKIT_DEBIAN_MIRROR contains no http:, https: or file: address",
                where=" ".join(named).rpartition("@")[2],
            )
        return DebianMirrors(own, tuple(_addresses((named_security or "").split())), keyring)
    archives: list[str] = []
    security: list[str] = []
    for address, suite in _apt_entries(apt_folder):
        match = _DEBIAN_SUITE.fullmatch(suite)
        if match:
            kind = security if match["part"] in _SECURITY else archives
            kind.extend(_addresses([address]))
    if named_security is not None:
        security = list(_addresses(named_security.split()))
    if not archives:
        raise failure(
            "DEBIAN_NO_MIRROR",
            "neither MEALKIT_DEBIAN_MIRROR nor apt's sources name a Debian mirror",
            where=str(apt_folder),
        )
    return DebianMirrors(tuple(dict.fromkeys(archives)), tuple(dict.fromkeys(security)), keyring)


def _keyring(environ: Mapping[str, str]) -> Path:
    if named := environ.get("MEALKIT_DEBIAN_KEYRING"):
        return Path(named)
    return next((path for path in _KEYRINGS if path.exists()), _KEYRINGS[0])


def _addresses(found: Iterable[str]) -> Iterator[str]:
    """Yield the addresses that mealkit can read, normalised."""
    for address in found:
        scheme, _, rest = address.partition(":")
        match scheme:
            case "http" | "https" if _has_host(address):
                yield address.rstrip("/")
            case "file" | "copy":
                yield "file:///" + rest.strip("/")
            case "mirror+file":
                # Debian's cloud images use a file with one address on each line.
                yield from _addresses(_mirror_list(Path("/" + rest.strip("/"))))
            case _:
                continue  # cdrom:, tor+http:, ... are not supported


def _has_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _mirror_list(path: Path) -> Iterator[str]:
    for line in _text(path).splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            yield words[0]


def _apt_entries(apt_folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (address, suite) of every binary entry that offers `main`. Format: sources.list(5)."""
    parts = apt_folder / "sources.list.d"
    listed = sorted(parts.iterdir()) if parts.is_dir() else []
    for path in [apt_folder / "sources.list", *listed]:
        if path.suffix == ".list":
            yield from _one_line_entries(_text(path))
        elif path.suffix == ".sources":
            yield from _paragraph_entries(_text(path))


def _one_line_entries(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split()
        if len(words) > 3 and words[0] == "deb" and "main" in words[3:]:
            yield words[1], words[2]


def _paragraph_entries(text: str) -> Iterator[tuple[str, str]]:
    try:
        entries = list(paragraphs(text))
    except ValueError:
        return  # apt itself reports what is wrong with its file; other entries may be usable
    for entry in entries:
        enabled = entry.get("enabled", "yes").lower() not in {"no", "false", "0", "off"}
        if enabled and "deb" in entry.get("types", "").split():
            if "main" not in entry.get("components", "").split():
                continue
            for address in entry.get("uris", "").split():
                for suite in entry.get("suites", "").split():
                    yield address, suite


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
