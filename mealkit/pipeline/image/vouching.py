"""Vouching: before a build unpacks anything of a base, check that the lock's is the kit's.

A lock is a file beside the kit, and may be a stranger's. Refuses bases that the kit does not ask
for, and Debian packages for which no signed index vouches.
"""

from collections import Counter

from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.progress import Progress
from mealkit.recipe.kit import DebianBase, Kit
from mealkit.recipe.lock import Lock, LockedDebianBase
from mealkit.untrusted import shown


def require_vouched_base(kit: Kit, lock: Lock, home: Home, progress: Progress) -> None:
    """Refuse a lock whose base is not the kit's, or whose packages Debian does not vouch for.

    Raises:
        LockError: ``LOCK_INVALID`` or ``DEBIAN_UNVOUCHED``.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, what was found cannot be remembered.
    """
    asked, base = kit.runtime.base, lock.runtime.base
    if asked.source != base.source:
        raise _invalid(f"its base is of the kind {base.source}, the kit asks for {asked.source}")
    if not isinstance(base, LockedDebianBase) or not isinstance(asked, DebianBase):
        return
    if asked.suite != base.suite:
        raise _invalid(f"its base is {shown(base.suite)}, the kit asks for {asked.suite}")
    _check_packages(base, lock.runtime.architecture)
    if asked.allow_unsigned:
        # Unpacked as data, and never run: whatever the lock says.
        if lock.runtime.bytecode:
            raise _invalid("packages that need no signature may not compile modules")
        return
    from mealkit.sources.debian.known_packages import DebianMemory
    from mealkit.sources.debian.mirrors import debian_mirrors
    from mealkit.sources.debian.vouch import require_vouched

    progress.phase("looking up who vouches for the Debian packages")
    require_vouched(
        base.packages,
        base.suite,
        lock.runtime.architecture,
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
