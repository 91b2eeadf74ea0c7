"""Fetch pinned packages: where a .deb may be found, and what it means when it is nowhere.

The downloader that it is handed compares the bytes with the digest.
"""

from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from mealkit.digest import Digest
from mealkit.errors import MealkitError, SourceError, failure
from mealkit.recipe.lock import LockedDeb
from mealkit.sources.debian.mirrors import DebianMirrors
from mealkit.sources.debian.package import inside_mirror


class Downloads(Protocol):
    """What fetches an address into a cache, refusing all but the pinned bytes."""

    def fetch(self, url: str, *, expected: Digest, size_bytes: int) -> tuple[Digest, Path]:
        """Return the digest and the verified file; SOURCE_NOT_FOUND tells that there is none."""
        ...


def deb_urls(package: LockedDeb, mirrors: DebianMirrors) -> list[str]:
    """Return every address that may hold a package, the likeliest first; none is asked.

    Raises:
        LockError: ``LOCK_INVALID``, the lock names a path that leads outside a mirror.
    """
    try:
        filename = inside_mirror(package.filename)
    except ValueError as error:
        raise failure("LOCK_INVALID", f"runtime.base.packages: {error}") from error
    # The security archive names its pool pool/updates; the other mirrors may still have a copy.
    places = (*mirrors.archives, *mirrors.security)
    if filename.startswith("pool/updates/"):
        places = (*mirrors.security, *mirrors.archives)
    return [f"{place}/{quote(filename, safe='/+~:')}" for place in dict.fromkeys(places)]


def fetch_deb(package: LockedDeb, mirrors: DebianMirrors, downloads: Downloads) -> Path:
    """Return a pinned package's verified file, from the first mirror that yields its bytes.

    Raises:
        SourceError: DEBIAN_GONE when no mirror has it, or what ``downloads`` raised where one that
            has it (or may have it) could not be read.
        StoreError: DISK_FULL or DISK_DENIED, at once.
    """
    refusals: list[SourceError] = []
    for url in deb_urls(package, mirrors):
        try:
            return downloads.fetch(url, expected=package.sha256, size_bytes=package.size_bytes)[1]
        except SourceError as error:  # a full disk is none of the mirror's doing
            if error.problems[0].code != "SOURCE_NOT_FOUND":
                refusals.append(error)
    raise refusals[0] if refusals else gone(package)


def gone(package: LockedDeb) -> MealkitError:
    """Make the error for a pinned package that no mirror has any more."""
    return failure(
        "DEBIAN_GONE",
        f"{package.name} {package.version} is no longer on any Debian mirror of this machine",
        where=package.filename,
    )
