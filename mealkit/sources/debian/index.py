"""Fetch, check, keep and search the package indexes of a suite.

Refuses bytes that the signed release does not vouch for. Parsing is a plain loop over paragraphs:
an index has some 60 000 of them, of which a base needs forty, so only those are read in full.
"""

import gzip
import lzma
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from debian.debian_support import NativeVersion

from mealkit.digest import CHUNK_BYTES, Digest, digest_of_file
from mealkit.errors import disk_failure, failure
from mealkit.sources.client import bare_url
from mealkit.sources.debian.fetch import Fetch
from mealkit.sources.debian.package import IndexEntry, index_entry
from mealkit.sources.debian.paragraphs import paragraphs
from mealkit.sources.debian.release import ListedFile, Release

_SUFFIXES = (".xz", ".gz", "")


class PackageIndex:
    """The packages of all indexes of a suite, by name and by what they provide."""

    def __init__(self) -> None:
        self._paragraphs: dict[str, list[bytes]] = {}
        self._entries: dict[str, IndexEntry | None] = {}
        self._providers: dict[str, set[str]] = {}

    def add(self, chunks: Iterable[bytes]) -> None:
        """Add an index, handed over as decompressed chunks of any size.

        Raises:
            ValueError: a paragraph does not begin with a package's name, or cannot be read.
        """
        for paragraph in _raw_paragraphs(chunks):
            line, _, _ = paragraph.partition(b"\n")
            field, _, name = line.partition(b":")
            if field != b"Package":
                raise ValueError(f"a paragraph begins with {field[:40]!r}")
            self._paragraphs.setdefault(name.strip().decode(), []).append(paragraph)
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
            self._entries[name] = max(found, key=_rank, default=None)
        return self._entries[name]

    def providers(self, name: str) -> list[IndexEntry]:
        """Return the newest version of every package that provides a name, sorted by name."""
        entries = (self.newest(provider) for provider in sorted(self._providers.get(name, ())))
        return [
            entry
            for entry in entries
            if entry and any(relation.name == name for relation in entry.provides)
        ]


def read_index(
    release: Release, address: str, architecture: str, fetch: Fetch, cache: Path
) -> Iterator[bytes]:
    """Yield a suite's index of `main` in decompressed chunks, fetched only if the cache lacks it.

    ``address`` is the suite's folder on the mirror. The compressed index is kept in ``cache``
    under its digest and checked again whenever it is read.

    Raises:
        SourceError: DEBIAN_INDEX (not listed, not there, or not the bytes that were signed).
    """
    stem = f"main/binary-{architecture}/Packages"
    for suffix in _SUFFIXES:
        if listed := release.files.get(stem + suffix):
            path = cache / f"{listed.digest.hex}{suffix or '.txt'}"
            if not (path.exists() and digest_of_file(path) == listed.digest):
                body = _fetched(listed, address, fetch, by_hash=release.by_hash)
                _keep(body, path)
            return _decompressed(path, suffix, bare_url(address))
    raise failure(
        "DEBIAN_INDEX",
        f"the Debian index lists no packages of main for {architecture}",
        hint="use a mirror that carries this architecture, or correct hardware.architectures",
        where=bare_url(address),
    )


def _raw_paragraphs(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        yield from (text for text in map(_bare, whole) if text)
    if last := _bare(rest):
        yield last


def _bare(paragraph: bytes) -> bytes:
    return paragraph.strip(b"\n")


def _rank(entry: IndexEntry) -> tuple[NativeVersion, str]:
    """Order by version; equal ones by digest, so that the order of the indexes never matters."""
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


def _keep(body: bytes, path: Path) -> None:
    """Put the checked bytes in place whole: two locks at once write the same file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(body)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise disk_failure(error, "the Debian index cannot be kept", str(path.parent)) from error


def _decompressed(path: Path, suffix: str, where: str) -> Iterator[bytes]:
    try:
        with _open(path, suffix) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise failure(
            "DEBIAN_INDEX", f"the Debian package index cannot be read: {error}", where=where
        ) from error


def _open(path: Path, suffix: str) -> lzma.LZMAFile | gzip.GzipFile | BinaryIO:
    match suffix:
        case ".xz":
            return lzma.open(path)
        case ".gz":
            return gzip.open(path)
        case _:
            return path.open("rb")
