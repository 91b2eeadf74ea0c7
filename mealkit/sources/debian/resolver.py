"""Resolves the `debian` base: the packages, pinned by digest, of a root for a Python.

Raises SourceError or LockError for a suite or a Python that the mirrors do not have, and for
indexes that Debian did not sign.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from mealkit.errors import MealkitError, failure
from mealkit.recipe.locked_base import LockedDeb
from mealkit.sources.debian.closure import closure
from mealkit.sources.debian.known_packages import DebianMemory
from mealkit.sources.debian.mirror_client import Fetch, MirrorFetch
from mealkit.sources.debian.mirrors import DebianMirrors
from mealkit.sources.debian.package_index import PackageIndex, read_index
from mealkit.sources.debian.release import (
    Release,
    check_release,
    check_suite,
    parse_release,
    signed_text,
    verified,
)
from mealkit.web.http_client import bare_url

# A release of a large suite has some 200 KB.
_RELEASE_LIMIT_BYTES = 4 * 1024 * 1024
_MOST_SIMILAR = 3
_SUITE = re.compile(r"[a-z][a-z0-9.-]*")
_PYTHON = re.compile(r"python(3\.[0-9]+)-minimal")

# The packages that a serving Python needs besides python3.X-minimal and libpython3.X-stdlib.
ROOTS = (
    "base-files",  # the folders of a root, /etc/os-release, the /bin and /lib links
    "ca-certificates",
    "libgomp1",  # OpenMP: what inference engines are linked with
    "libstdc++6",
    "netbase",  # /etc/services and /etc/protocols; a dependency of the stdlib in trixie only
    "tzdata",  # for zoneinfo; a dependency of the stdlib in trixie only
)

# Dependencies that only maintainer scripts need, which are never run: (package, dependency).
EXCLUDED = {
    ("base-files", "awk"): "its postinst merges passwd lines with it",
    ("haproxy", "adduser"): "its postinst creates a user with it; the root has one",
    ("ca-certificates", "openssl"): "update-ca-certificates hashes with it; the bundle needs none",
    ("ca-certificates", "debconf"): "its config script asks which authorities to trust; all are",
    ("readline-common", "dpkg"): "its postinst registers info pages, which the root leaves out",
    ("tzdata", "debconf"): "its config script asks for the machine's time zone; it is UTC",
}


def resolve_base(  # noqa: PLR0913 - most of them by name
    suite: str,
    python: str,
    architecture: str = "amd64",
    *,
    more: Sequence[str] = (),
    allow_unsigned: bool = False,
    mirrors: DebianMirrors,
    cache: Path,
    memory: DebianMemory | None = None,
    places: Mapping[str, str] | None = None,
) -> tuple[LockedDeb, ...]:
    """Return the packages of a root for ``python`` ("3.13") from ``suite``, sorted by name.

    ``more`` are additional packages; their dependencies are added, too. ``places`` has the line of
    kit.yaml that names a package, or the Python.

    Reads SUITE, SUITE-updates (if it exists) and, if the mirrors have security updates,
    SUITE-security; the highest version of each package counts. Verified package indexes are stored
    in ``cache`` under their digest, so that only the small signed releases are read every time.
    ``memory`` checks that a release is not older than one seen before, and records the packages in
    the signed indexes, but not those in unsigned ones.

    Raises:
        SourceError: ``DEBIAN_UNSIGNED``, ``DEBIAN_INDEX``, ``SOURCE_NOT_FOUND`` (no mirror has the
            suite), or the error of ``MirrorFetch`` if no mirror could be read.
        LockError: ``DEBIAN_UNSOLVABLE``.
    """

    def roots(index: PackageIndex) -> Sequence[str]:
        if index.newest(f"python{python}-minimal") is None:
            raise _no_python(index, suite, python, places or {})
        if unknown := [name for name in more if not _has(index, name)]:
            raise _no_package(index, suite, unknown, places or {})
        return (f"python{python}-minimal", f"libpython{python}-stdlib", *ROOTS, *more)

    return _resolved(
        suite,
        roots,
        architecture,
        mirrors=mirrors,
        cache=cache,
        memory=None if allow_unsigned else memory,
        keyring=None if allow_unsigned else mirrors.keyring,
    )


def resolve_program(
    suite: str,
    name: str,
    architecture: str,
    *,
    mirrors: DebianMirrors,
    cache: Path,
    memory: DebianMemory,
) -> tuple[LockedDeb, ...]:
    """Return the packages of a root for one program, without Python, sorted by name.

    Raises:
        SourceError, LockError: as ``resolve_base``; the indexes must be signed.
    """

    def roots(index: PackageIndex) -> Sequence[str]:
        if not _has(index, name):
            raise _no_package(index, suite, [name], {})
        return ("base-files", name)

    return _resolved(
        suite,
        roots,
        architecture,
        mirrors=mirrors,
        cache=cache,
        memory=memory,
        keyring=mirrors.keyring,
    )


def _resolved(  # noqa: PLR0913 - most of them by name
    suite: str,
    roots: Callable[[PackageIndex], Sequence[str]],
    architecture: str,
    *,
    mirrors: DebianMirrors,
    cache: Path,
    memory: DebianMemory | None,
    keyring: Path | None,
) -> tuple[LockedDeb, ...]:
    """Return the packages that ``roots`` names in the suite's index, with their dependencies."""
    if not _SUITE.fullmatch(suite):
        raise failure("DEBIAN_UNSOLVABLE", f"{suite!r} is not the name of a Debian suite")
    index = PackageIndex()
    try:
        with MirrorFetch() as fetch:
            reader = IndexReader(fetch, keyring, cache, memory)
            for chunks in _indexes(suite, architecture, mirrors, reader):
                index.add(chunks)
        found = tuple(entry.package for entry in closure(index, roots(index), EXCLUDED))
    except ValueError as error:
        raise failure(
            "DEBIAN_INDEX", f"the package index of {suite} cannot be read: {error}"
        ) from error
    if memory:
        memory.keep(found)
    return found


class IndexReader:
    """Reads a suite's release and index from the first mirror that has them.

    Without a keyring, releases need no signature. With ``old``, any signed release is accepted,
    even if it has expired or is older than one seen before: for packages that are already pinned,
    it proves as well as a new one that they are Debian's.
    """

    def __init__(
        self,
        fetch: Fetch,
        keyring: Path | None,
        cache: Path,
        memory: DebianMemory | None = None,
        *,
        old: bool = False,
    ) -> None:
        self._fetch = fetch
        self._keyring = keyring
        self._cache = cache
        self._memory = memory
        self._old = old

    def read(
        self, addresses: tuple[str, ...], suite: str, architecture: str
    ) -> tuple[str, Iterator[bytes]] | None:
        """Return the mirror that was used, and the checked index in chunks.

        Returns None if every mirror reports that it does not have the suite.
        """
        refusals: list[MealkitError] = []
        for address in addresses:
            folder = f"{address}/dists/{suite}"
            try:
                release = self._release(folder, suite)
                if release:
                    index = read_index(release, folder, architecture, self._fetch, self._cache)
                    return address, index
            except MealkitError as error:  # another mirror may have it
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return None

    def _release(self, folder: str, suite: str) -> Release | None:
        where = f"{bare_url(folder)}/InRelease"
        signed = self._fetch(f"{folder}/InRelease", _RELEASE_LIMIT_BYTES)
        if signed is None and self._keyring is None:
            signed = self._fetch(f"{folder}/Release", _RELEASE_LIMIT_BYTES)
        if signed is None:
            return None
        text = verified(signed, self._keyring, where) if self._keyring else signed_text(signed)
        release = parse_release(text, where)
        if self._old:
            check_suite(release, suite, where)
        else:
            check_release(release, suite, where)
        if self._memory:
            if not self._old:
                self._memory.require_newest(suite, release.date, where)
            self._memory.saw(suite, release.date)
        return release


def _indexes(
    suite: str, architecture: str, mirrors: DebianMirrors, reader: IndexReader
) -> Iterator[Iterator[bytes]]:
    main = reader.read(mirrors.archives, suite, architecture)
    if main is None:
        raise failure(
            "SOURCE_NOT_FOUND",
            f"no Debian mirror of this machine has the suite {suite!r}",
            hint="correct base.suite in kit.yaml, or set MEALKIT_DEBIAN_MIRROR",
            where=" ".join(map(bare_url, mirrors.archives)),
        )
    address, index = main
    yield index
    # From the same mirror: the updates on another one may not match this one's suite.
    if updates := reader.read((address,), f"{suite}-updates", architecture):
        yield updates[1]
    if mirrors.security:
        security = reader.read(mirrors.security, f"{suite}-security", architecture)
        if security is None:
            # Without it, known security holes would stay open silently, for example if an attacker
            # blocked the answer.
            raise failure(
                "DEBIAN_INDEX",
                f"no security mirror of this machine has {suite}-security",
                hint="correct MEALKIT_DEBIAN_SECURITY_MIRROR, or set it to an empty value",
                where=" ".join(map(bare_url, mirrors.security)),
            )
        yield security[1]


def _has(index: PackageIndex, name: str) -> bool:
    return index.newest(name) is not None or bool(index.providers(name))


def _no_package(
    index: PackageIndex, suite: str, unknown: Sequence[str], places: Mapping[str, str]
) -> MealkitError:
    """Return the problem of packages that the suite lacks, with similar names for each."""
    names = list(index.names())
    similar = {name: get_close_matches(name, names, n=_MOST_SIMILAR) for name in unknown}
    meant = [f"{name}: did you mean {' or '.join(near)}?" for name, near in similar.items() if near]
    hint = "correct or delete the name in runtime.base.packages"
    return failure(
        "DEBIAN_UNSOLVABLE",
        f"{suite} has no package {', '.join(unknown)}",
        hint="; ".join([hint, *meant]),
        where=next((places[name] for name in unknown if name in places), None),
    )


def _no_python(
    index: PackageIndex, suite: str, python: str, places: Mapping[str, str]
) -> MealkitError:
    found = sorted(match[1] for match in map(_PYTHON.fullmatch, index.names()) if match)
    return failure(
        "DEBIAN_UNSOLVABLE",
        f"{suite} has no Python {python}; it has {', '.join(found) or 'none'}",
        hint=f'set runtime.python to "{found[0]}", or choose another suite' if found else None,
        where=places.get(python),
    )
