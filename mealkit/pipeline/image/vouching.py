"""Checks the base in a lock before a build unpacks anything from it.

A lock is a file next to the kit and may come from an untrusted source. Raises LockError for a base
that the kit does not name, and for Debian packages that are in no signed index.
"""

from collections import Counter

from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.progress import Progress
from mealkit.recipe.kit import DebianBase, Kit
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.untrusted import shown


def require_vouched_base(kit: Kit, lock: Lock, home: Home, progress: Progress) -> None:
    """Raise if the lock's base is not the kit's, or if a package is in no signed index of Debian.

    Raises:
        LockError: ``LOCK_INVALID`` or ``DEBIAN_UNVOUCHED``.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the result cannot be stored.
    """
    asked, base = kit.runtime.base, lock.runtime.base
    if asked.source != base.source:
        raise _invalid(f"its base has the source {base.source}, expected the kit's {asked.source}")
    if not isinstance(base, LockedDebianBase) or not isinstance(asked, DebianBase):
        return
    if asked.suite != base.suite:
        raise _invalid(f"its base is {shown(base.suite)}, expected the kit's {asked.suite}")
    _check_packages(base, lock.runtime.architecture)
    if asked.allow_unsigned:
        # Unsigned packages are only unpacked and never run, even if the lock requests it.
        if lock.runtime.bytecode:
            raise _invalid("unsigned packages may not compile modules")
        return
    require_signed(base, lock.runtime.architecture, home, progress)


def require_signed(
    base: LockedDebianBase, architecture: str, home: Home, progress: Progress
) -> None:
    """Raise if a package is in no signed index of Debian.

    Raises:
        LockError: ``DEBIAN_UNVOUCHED``.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the result cannot be stored.
    """
    from mealkit.sources.debian.known_packages import DebianMemory
    from mealkit.sources.debian.mirrors import debian_mirrors
    from mealkit.sources.debian.vouch import require_vouched

    with progress.step("looking up the Debian packages in signed indexes"):
        require_vouched(
            base.packages,
            base.suite,
            architecture,
            mirrors=debian_mirrors,
            cache=home.indexes,
            memory=DebianMemory(home.debian),
        )


def _check_packages(base: LockedDebianBase, architecture: str) -> None:
    for name, count in Counter(deb.name for deb in base.packages).items():
        if count > 1:
            raise _invalid(f"it has the package {shown(name)} twice")
    for deb in base.packages:
        if deb.architecture not in {architecture, "all"}:
            raise _invalid(
                f"its package {shown(deb.name)} is for {shown(deb.architecture)},"
                f" the kit for {architecture}"
            )


def _invalid(what: str) -> MealkitError:
    return failure("LOCK_INVALID", what, where="runtime.base")
