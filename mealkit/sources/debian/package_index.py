"""Fetches, checks, caches and searches the package indexes of a suite.

Raises SourceError for bytes that do not match the signed release. An index has some 60 000
paragraphs, of which a base needs forty; only those are parsed completely.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from debian.debian_support import NativeVersion

from mealkit.digest import Digest, digest_of_file, file_chunks
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.sources.debian.mirror_client import Fetch
from mealkit.sources.debian.package import IndexEntry, index_entry
from mealkit.sources.debian.paragraphs import paragraphs
from mealkit.sources.debian.release import ListedFile, Release
from mealkit.untrusted import UntrustedError, decompressed
from mealkit.web.http_client import bare_url

# The possible compressions of an index, with the maximum size: trixie's has 10 MB as .xz.
_MOST_PACKED_BYTES = {".xz": 32 * 1024**2, ".gz": 32 * 1024**2, "": 64 * 1024**2}
# For all indexes of a suite together: those of trixie have 59 MB and 72 000 paragraphs.
_MOST_BYTES = 80 * 1024**2
_MOST_PARAGRAPHS = 150_000
_MOST_PARAGRAPH_BYTES = 1024**2


class PackageIndex:
    """The packages of all indexes of a suite, by name and by the names that they provide."""

    def __init__(self) -> None:
        self._paragraphs: dict[str, list[bytes]] = {}
        self._entries: dict[str, IndexEntry | None] = {}
        self._providers: dict[str, set[str]] = {}
        self._provided: dict[str, frozenset[str]] = {}
        self._bytes = 0
        self._count = 0

    def add(self, chunks: Iterable[bytes]) -> None:
        """Add an index from decompressed chunks of any size.

        Raises:
            ValueError: a paragraph does not start with a package's name, or cannot be read; or
                there are more paragraphs than the limit.
        """
        for name, paragraph in _named_paragraphs(chunks):
            self._bytes += len(paragraph)
            self._count += 1
            if self._bytes > _MOST_BYTES or self._count > _MOST_PARAGRAPHS:
                raise ValueError("there are more packages than any suite has")
            self._paragraphs.setdefault(name, []).append(paragraph)
            if b"\nProvides:" in paragraph:
                fields = next(paragraphs(paragraph.decode()))
                for relation in index_entry(fields).provides:
                    self._providers.setdefault(relation.name, set()).add(fields["package"])

    def names(self) -> Iterable[str]:
        """Return every package's name."""
        return self._paragraphs.keys()

    def newest(self, name: str) -> IndexEntry | None:
        """Return the highest version of a package in any of the indexes, or None.

        Raises:
            ValueError: the package's paragraph cannot be read.
        """
        if name not in self._entries:
            found = [
                index_entry(next(paragraphs(paragraph.decode())))
                for paragraph in self._paragraphs.get(name, [])
            ]
            newest = max(found, key=_rank, default=None)
            self._entries[name] = newest
            if newest:
                self._provided[name] = frozenset(item.name for item in newest.provides)
        return self._entries[name]

    def providers(self, name: str) -> list[IndexEntry]:
        """Return the newest version of every package that provides a name, sorted by name."""
        entries = (self.newest(provider) for provider in sorted(self._providers.get(name, ())))
        return [entry for entry in entries if entry and name in self._provided[entry.package.name]]


def entries_of(chunks: Iterable[bytes], names: Collection[str]) -> Iterator[IndexEntry]:
    """Yield every entry of an index for these packages, in all versions.

    Raises:
        ValueError: the index, or one of these entries, cannot be read.
    """
    for name, paragraph in _named_paragraphs(chunks):
        if name in names:
            yield index_entry(next(paragraphs(paragraph.decode())))


def read_index(
    release: Release, address: str, architecture: str, fetch: Fetch, cache: Path
) -> Iterator[bytes]:
    """Yield a suite's index of `main` in decompressed chunks, fetched only if the cache lacks it.

    ``address`` is the suite's folder on the mirror. The compressed index is stored in ``cache``
    under its digest and checked again each time it is read.

    Raises:
        SourceError: ``DEBIAN_INDEX``, the index is not listed, is missing, or differs from the
            signed one.
    """
    stem = f"main/binary-{architecture}/Packages"
    for suffix, most_bytes in _MOST_PACKED_BYTES.items():
        if listed := release.files.get(stem + suffix):
            if listed.size_bytes > most_bytes:
                raise failure(
                    "DEBIAN_INDEX",
                    f"the Debian index lists {listed.size_bytes} bytes of packages: too many",
                    where=bare_url(address),
                )
            path = cache / f"{listed.digest.hex}{suffix or '.txt'}"
            if not (path.exists() and digest_of_file(path) == listed.digest):
                body = _fetched(listed, address, fetch, by_hash=release.by_hash)
                write_whole(path, body, durable=False)
            return _decompressed(path, suffix, bare_url(address))
    raise failure(
        "DEBIAN_INDEX",
        f"the Debian index lists no packages of main for {architecture}",
        hint="use a mirror with this architecture, or correct hardware.architectures",
        where=bare_url(address),
    )


def _named_paragraphs(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield every paragraph of an index, with the package's name at its start."""
    for paragraph in _raw_paragraphs(chunks):
        line, _, _ = paragraph.partition(b"\n")
        field, _, name = line.partition(b":")
        if field != b"Package":
            raise ValueError(f"a paragraph starts with {field[:40]!r}")
        yield name.strip().decode(), paragraph


def _raw_paragraphs(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        if max(map(len, (*whole, rest))) > _MOST_PARAGRAPH_BYTES:
            raise ValueError("a paragraph is too large")
        yield from (text for text in map(_bare, whole) if text)
    if last := _bare(rest):
        yield last


def _bare(paragraph: bytes) -> bytes:
    return paragraph.strip(b"\n")


def _rank(entry: IndexEntry) -> tuple[NativeVersion, str]:
    """Order by version, then by digest, so that the order of the indexes does not matter."""
    return NativeVersion(entry.package.version), entry.package.sha256


def _fetched(listed: ListedFile, address: str, fetch: Fetch, *, by_hash: bool) -> bytes:
    plain = f"{address}/{listed.path}"
    folder = plain.rpartition("/")[0]
    places = [f"{folder}/by-hash/SHA256/{listed.digest.hex}"] if by_hash else []
    for place in [*places, plain]:
        body = fetch(place, listed.size_bytes)
        if body is None:
            continue
        found = Digest.of(body)
        if found != listed.digest:
            raise failure(
                "DEBIAN_INDEX",
                f"the Debian package index is not the signed one:"
                f" expected {listed.digest}, found {found}",
                where=bare_url(place),
            )
        return body
    raise failure(
        "DEBIAN_INDEX",
        f"the mirror lacks {listed.path}, which its index lists",
        where=bare_url(plain),
    )


def _decompressed(path: Path, suffix: str, where: str) -> Iterator[bytes]:
    try:
        match suffix:
            case ".xz":
                yield from decompressed(file_chunks(path), "xz", _MOST_BYTES)
            case ".gz":
                yield from decompressed(file_chunks(path), "gz", _MOST_BYTES)
            case _:
                yield from map(bytes, file_chunks(path))
    except (UntrustedError, OSError) as error:
        raise failure(
            "DEBIAN_INDEX", f"the Debian package index cannot be read: {error}", where=where
        ) from error
