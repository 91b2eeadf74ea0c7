"""Fetches pinned packages from the first mirror that has them.

The downloader that it gets compares the bytes with the digest.
"""

from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from mealkit.digest import Digest
from mealkit.errors import MealkitError, SourceError, failure
from mealkit.recipe.locked_base import LockedDeb
from mealkit.sources.debian.mirrors import DebianMirrors
from mealkit.sources.debian.package import inside_mirror


class Downloads(Protocol):
    """Fetches an address into a cache, and accepts only the pinned bytes."""

    def fetch(self, url: str, *, expected: Digest, size_bytes: int) -> tuple[Digest, Path]:
        """Return the digest and the verified file; SOURCE_NOT_FOUND if the address has no file."""
        ...


def deb_urls(package: LockedDeb, mirrors: DebianMirrors) -> list[str]:
    """Return every address that may have a package, the likeliest first; makes no requests.

    Raises:
        LockError: ``LOCK_INVALID``, the lock names a path outside a mirror.
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
    """Return a pinned package's verified file, from the first mirror that has its bytes.

    Raises:
        SourceError: ``DEBIAN_GONE`` if no mirror has it, or the error of ``downloads`` if a mirror
            that may have it could not be read.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, without trying further mirrors.
    """
    refusals: list[SourceError] = []
    for url in deb_urls(package, mirrors):
        try:
            return downloads.fetch(url, expected=package.sha256, size_bytes=package.size_bytes)[1]
        except SourceError as error:  # another mirror does not help if the disk is full
            if error.problems[0].code != "SOURCE_NOT_FOUND":
                refusals.append(error)
    raise refusals[0] if refusals else gone(package)


def gone(package: LockedDeb) -> MealkitError:
    """Return the error for a pinned package that no mirror has any more."""
    return failure(
        "DEBIAN_GONE",
        f"{package.name} {package.version} is no longer on any Debian mirror of this machine",
        where=package.filename,
    )
