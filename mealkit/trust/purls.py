"""Package URLs of a lock's inputs (https://github.com/package-url/purl-spec), without hosts."""

import re
from urllib.parse import quote

from mealkit.digest import Digest
from mealkit.recipe.lock import LockedWheel
from mealkit.recipe.locked_base import LockedDeb, LockedImageBase
from mealkit.recipe.origins import (
    FolderOrigin,
    HttpOrigin,
    HubOrigin,
    OciOrigin,
    Origin,
    WheelOrigin,
)

DEBIAN_RELEASES = {"bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"}
"""The numbers of Debian's suites, which purls and CPEs have instead of their names."""


# The folder above is the first letter of the source, or four letters if it begins with "lib".
_POOL = re.compile(r"pool/(?:.+/)?(?P<start>lib.|.)/(?P<source>(?P=start)[^/]*)/[^/]+")


def deb_purl(package: LockedDeb, suite: str) -> str:
    """Return the purl of a Debian package, as in ``pkg:deb/debian/libc6@2.41-12?arch=...``.

    It names the source package (``upstream``) if that is another: security advisories name sources.
    """
    version = _quoted(package.version)
    release = DEBIAN_RELEASES.get(suite, suite)
    purl = f"pkg:deb/debian/{_quoted(package.name)}@{version}"
    source = source_package(package)
    upstream = "" if source == package.name else f"&upstream={_quoted(source)}"
    return f"{purl}?arch={package.architecture}&distro=debian-{release}{upstream}"


def source_package(package: LockedDeb) -> str:
    """Return a package's source: in Debian's archive its folder, ``pool/main/o/openssl/...``.

    In an archive with other folders, the source is taken to have the package's own name.
    """
    found = _POOL.fullmatch(package.filename)
    return found["source"] if found else package.name


def wheel_purl(wheel: LockedWheel) -> str:
    """Return the purl of a Python package."""
    return _python_purl(wheel.name, wheel.version)


def oci_purl(name: str, manifest: Digest) -> str:
    """Return the purl of an image, an index or an artifact."""
    return f"pkg:oci/{_quoted(name)}@{quote(manifest, safe='')}"


def base_purl(base: LockedImageBase) -> str | None:
    """Return the purl of a base image; None if the lock has no name for it."""
    name = base.name.rpartition("/")[2].lower()
    return oci_purl(name, base.digest) if name else None


def origin_purl(origin: Origin) -> str | None:
    """Return the purl of the package that has a file of the model; None for URLs and folders."""
    match origin:
        case HubOrigin():
            return f"pkg:huggingface/{_quoted(origin.repo, '/')}@{origin.commit}"
        case WheelOrigin():
            return _python_purl(origin.package, origin.version)
        case OciOrigin():
            return oci_purl(origin.repository.rpartition("/")[2], origin.digest)
        case HttpOrigin() | FolderOrigin():
            return None


def _python_purl(name: str, version: str) -> str:
    normal = re.sub(r"[-_.]+", "-", name).lower()
    return f"pkg:pypi/{normal}@{_quoted(version)}"


def _quoted(text: str, more: str = "") -> str:
    """Percent-encode a part of a purl; a colon stays, as in the epoch of a Debian version."""
    return quote(text, safe=f":{more}")
