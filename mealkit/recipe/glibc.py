"""Finds the version of a base's C library, which decides which wheels the base can run."""

import re

from mealkit.errors import failure
from mealkit.recipe.locked_base import LockedBase, LockedDebianBase

# An epoch may come first: https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
_GLIBC = re.compile(r"(?:[0-9]+:)?(2\.[0-9]{1,3})(?![0-9])")


def glibc_of(base: LockedBase) -> str:
    """Return the version of the base's C library.

    Raises:
        LockError: the base's packages do not state it (``LOCK_INVALID``).
    """
    if isinstance(base, LockedDebianBase):
        found = (_GLIBC.match(deb.version) for deb in base.packages if deb.name == "libc6")
        version = next(found, None)
        if version is None:
            message = "the base's packages have no libc6 with a glibc version"
            raise failure("LOCK_INVALID", message, where="runtime.base.packages")
        return version[1]
    # The lock never unpacks an image's layers, so the kit states the version.
    return base.glibc
