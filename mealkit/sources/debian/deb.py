"""Fetch pinned packages: where a .deb may be found, and what it means when it is nowhere.

Refuses nothing by itself: the downloader that it is handed holds the bytes against the digest.
"""

from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.sources.debian.config import DebianMirrors
from mealkit.sources.debian.package import DebianPackage


class Download(Protocol):
    """Fetch one address into a file, refusing all but the pinned bytes."""

    def __call__(self, url: str, target: Path, expected: Digest, size_bytes: int) -> object:
        """Write the file whole or not at all; SOURCE_NOT_FOUND tells that it is not there."""
        ...


def deb_urls(package: DebianPackage, mirrors: DebianMirrors) -> list[str]:
    """Return every address that may hold a package, the likeliest first; none is asked."""
    # The security archive names its pool pool/updates; the other mirrors may still have a copy.
    places = (*mirrors.archives, *mirrors.security)
    if package.filename.startswith("pool/updates/"):
        places = (*mirrors.security, *mirrors.archives)
    return [f"{place}/{quote(package.filename, safe='/+~:')}" for place in dict.fromkeys(places)]


def fetch_deb(
    package: DebianPackage, target: Path, mirrors: DebianMirrors, download: Download
) -> None:
    """Fetch a pinned package from the first mirror that yields its bytes.

    Raises:
        SourceError: DEBIAN_GONE when no mirror has it, or what ``download`` raised where one that
            has it (or may have it) could not be read.
    """
    refusals: list[MealkitError] = []
    for url in deb_urls(package, mirrors):
        try:
            download(url, target, package.sha256, package.size_bytes)
        except MealkitError as error:
            if error.problems[0].code != "SOURCE_NOT_FOUND":
                refusals.append(error)
        else:
            return
    raise refusals[0] if refusals else gone(package)


def gone(package: DebianPackage) -> MealkitError:
    """Make the error for a pinned package that no mirror has any more."""
    return failure(
        "DEBIAN_GONE",
        f"{package.name} {package.version} is no longer on any Debian mirror of this machine",
        where=package.filename,
    )
