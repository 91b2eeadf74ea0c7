"""Checks that the packages of a lock are in a signed index of Debian, current or seen before.

A digest in a lock only proves that the bytes are those that the lock's author chose. Only a signed
index proves that they are Debian's. Raises LockError for packages whose name, version,
architecture, size and digest are neither in this machine's record nor in a signed index on its
mirrors.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from mealkit.errors import MealkitError, SourceError, failure, failures, problem
from mealkit.recipe.locked_base import LockedDeb
from mealkit.sources.debian.known_packages import DebianMemory
from mealkit.sources.debian.mirror_client import MirrorFetch
from mealkit.sources.debian.mirrors import DebianMirrors
from mealkit.sources.debian.package_index import entries_of
from mealkit.sources.debian.resolver import IndexReader

_SHOWN = 3


def require_vouched(
    packages: Sequence[LockedDeb],
    suite: str,
    architecture: str,
    *,
    mirrors: Callable[[], DebianMirrors],
    cache: Path,
    memory: DebianMemory,
) -> None:
    """Raise if a package is in no signed index.

    Mirrors are read only if ``memory`` does not have every package; it then records the packages
    of their indexes. Old indexes are accepted, such as a snapshot of the archive with packages that
    mirrors have replaced since.

    Raises:
        LockError: ``DEBIAN_UNVOUCHED``, and the problems of indexes that could not be read.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    unknown = _unknown(packages, memory)
    if not unknown:
        return
    refusals: list[MealkitError] = []
    try:
        found = mirrors()
        with MirrorFetch() as fetch:
            reader = IndexReader(fetch, found.keyring, cache, memory, old=True)
            for address, name in _places(found, suite):
                try:
                    memory.keep(_named(reader, address, name, architecture, unknown))
                except SourceError as error:  # another index may have the missing packages
                    refusals.append(error)
                unknown = _unknown(unknown, memory)
                if not unknown:
                    return
    except SourceError as error:
        refusals.append(error)
    raise _unvouched(unknown, suite, refusals)


def _unknown(packages: Sequence[LockedDeb], memory: DebianMemory) -> list[LockedDeb]:
    return [package for package in packages if not memory.vouches_for(package)]


def _places(mirrors: DebianMirrors, suite: str) -> list[tuple[str, str]]:
    """Return every index that may have a suite's packages: (mirror, suite)."""
    places = [(place, name) for place in mirrors.archives for name in (suite, f"{suite}-updates")]
    return [*places, *((place, f"{suite}-security") for place in mirrors.security)]


def _named(
    reader: IndexReader, address: str, suite: str, architecture: str, wanted: Sequence[LockedDeb]
) -> list[LockedDeb]:
    """Return the entries of one index with the wanted names and digests."""
    found = reader.read((address,), suite, architecture)
    if found is None:
        return []
    names = {package.name for package in wanted}
    digests = {package.sha256 for package in wanted}
    try:
        entries = [entry.package for entry in entries_of(found[1], names)]
    except ValueError as error:
        raise failure(
            "DEBIAN_INDEX", f"the package index of {suite} cannot be read: {error}"
        ) from error
    return [package for package in entries if package.sha256 in digests]


def _unvouched(
    unknown: Sequence[LockedDeb], suite: str, refusals: Sequence[MealkitError]
) -> MealkitError:
    named = ", ".join(f"{package.name} {package.version}" for package in unknown[:_SHOWN])
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    message = f"no signed index of {suite} that was read here contains {named}{more} as locked"
    causes = [found for error in refusals[:_SHOWN] for found in error.problems]
    return failures([problem("DEBIAN_UNVOUCHED", message, where="runtime.base"), *causes])
