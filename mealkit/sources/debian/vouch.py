"""Hold the packages of a lock against Debian's signed indexes: those of today, or ones seen before.

A digest in a lock says that bytes are what the lock's author wanted; that they are Debian's,
only a signed index says. Refuses packages that neither this machine's memory nor a signed index of
its mirrors names, with their version, architecture, size and digest.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from mealkit.errors import MealkitError, SourceError, failure, failures, problem
from mealkit.recipe.lock import LockedDeb
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
    """Refuse packages for which no signed index vouches.

    Mirrors are asked only if ``memory`` does not know every package; what they vouch for is
    remembered then. An old index will do: a snapshot of the archive vouches for what mirrors have
    replaced since.

    Raises:
        LockError: ``DEBIAN_UNVOUCHED``, followed by why indexes could not be read, if so.
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
                except SourceError as error:  # another index may name what is missing
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
    """Return every index that may name a suite's packages: (mirror, suite)."""
    places = [(place, name) for place in mirrors.archives for name in (suite, f"{suite}-updates")]
    return [*places, *((place, f"{suite}-security") for place in mirrors.security)]


def _named(
    reader: IndexReader, address: str, suite: str, architecture: str, wanted: Sequence[LockedDeb]
) -> list[LockedDeb]:
    """Return what one index says of the packages that have the wanted names and digests."""
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
    message = f"no signed index of {suite} that was read here names {named}{more} as it is locked"
    causes = [found for error in refusals[:_SHOWN] for found in error.problems]
    return failures([problem("DEBIAN_UNVOUCHED", message, where="runtime.base"), *causes])
