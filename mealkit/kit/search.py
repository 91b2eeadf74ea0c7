"""Finds the files of a folder that a name or pattern matches, within the kit's bounds.

Raises TooManyError when the limits for entries, depth or links are exceeded. Follows links only
within the kit's bounds, and never in a loop.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.untrusted import UntrustedError, read_file

MAX_ENTRIES = 50_000
"""The maximum number of files and folders that one search reads."""
MAX_LINKS = 500
"""The maximum number of links to folders that one search follows."""
MAX_DEPTH = 32
"""The maximum depth of folders."""
NEVER_BY_PATTERN = frozenset({".git", ".hg", ".svn", ".jj", "__pycache__", ".venv"})
"""Folders that patterns skip, because history, caches and environments are not part of a kit."""

_LONGEST_LINK = 1024
_WILD = frozenset("*?[")


class TooManyError(Exception):
    """A folder has more entries, levels or links than a search may read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} has too many files, or they nest too deep: more than {MAX_ENTRIES} files, "
            f"{MAX_DEPTH} levels or {MAX_LINKS} links to folders"
        )


def has_wildcard(pattern: str) -> bool:
    """Return whether a name is a pattern."""
    return any(sign in _WILD for sign in pattern)


def link_in_text(path: Path) -> Path | None:
    """Return the target of a link that Git wrote as a text file; None if it is none.

    Git does so where links are not allowed (``core.symlinks`` is false): the file's whole content
    is a relative path, which must exist.
    """
    try:
        if path.is_symlink() or not 0 < path.stat().st_size <= _LONGEST_LINK:
            return None
        text = read_file(path, _LONGEST_LINK).decode()
    except (OSError, UntrustedError, UnicodeDecodeError):
        return None
    if not text.isprintable() or "/" not in text.strip("/") or text.startswith("/"):
        return None
    target = path.parent / text
    return target if target.exists() else None


class Search:
    """Searches for files below a folder; follows links only within the bounds.

    The limits are for all patterns of one search together; ``outside`` are the links to folders
    that it found and did not follow.
    """

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self.outside: dict[str, Path] = {}
        self._folder = folder
        self._bounds = bounds
        self._left = MAX_ENTRIES
        self._links_left = MAX_LINKS

    def glob(self, pattern: str) -> list[str]:
        """Return the files that a pattern matches, as in ``pathlib``; ``**`` follows no links.

        Raises:
            ValueError: ``**`` is only a part of a name, or the pattern has too many parts.
            OutsideError: a folder in the pattern is a link to a place outside the bounds.
            TooManyError: the search exceeds its limits.
            OSError: a folder cannot be read.
        """
        parts = PurePosixPath(pattern).parts
        if any("**" in part and part != "**" for part in parts):
            raise ValueError("'**' can only be an entire path component")
        if len(parts) > MAX_DEPTH:
            raise ValueError(f"it has more than {MAX_DEPTH} parts")
        if parts[-1] == "**":
            parts = (*parts, "*")
        # Each folder is read once for each rest of the pattern, even if several paths reach it.
        todo: list[tuple[str, int]] = [("", 0)]
        seen: set[tuple[str, int]] = set()
        found: set[str] = set()
        while todo:
            state = todo.pop()
            if state in seen:
                continue
            seen.add(state)
            prefix, index = state
            if index == len(parts):
                if (self._folder / prefix).is_file():
                    found.add(prefix)
            else:
                todo += self._steps(prefix, index, parts, by_pattern=has_wildcard(pattern))
        return sorted(found)

    def files(self) -> Iterator[str]:
        """Yield every file below the folder, also through links to folders.

        Raises:
            TooManyError: the search exceeds its limits.
            OSError: a folder cannot be read.
        """
        top = self._folder.resolve()
        todo: list[tuple[str, tuple[Path, ...]]] = [("", (top,))]
        while todo:
            prefix, above = todo.pop()
            for entry in self._entries(prefix):
                path = f"{prefix}{entry.name}"
                if entry.is_file:
                    yield path
                elif entry.is_folder and self._may_enter(path, entry):
                    real = above[-1] / entry.name
                    if entry.is_link:
                        real = (self._folder / path).resolve()
                    if real not in above:  # a link to a folder around it is a loop
                        self._require_depth(len(above))
                        todo.append((f"{path}/", (*above, real)))

    def _steps(
        self, prefix: str, index: int, parts: Sequence[str], *, by_pattern: bool
    ) -> Iterator[tuple[str, int]]:
        """Yield the paths that one part of a pattern matches in a folder."""
        part, last = parts[index], index == len(parts) - 1
        if part == "**":
            yield prefix, index + 1
            yield from ((path, index) for path in self._below(prefix))
        elif has_wildcard(part):
            for path in self._matching(prefix, part, folders=not last):
                yield path if last else f"{path}/", index + 1
        elif last:
            yield f"{prefix}{part}", index + 1
        elif not (by_pattern and part in NEVER_BY_PATTERN):
            path = f"{prefix}{part}"
            if (self._folder / path).is_dir():
                self._bounds.resolve(self._folder / path)
                yield f"{path}/", index + 1

    def _matching(self, prefix: str, part: str, *, folders: bool) -> Iterator[str]:
        """Yield the folders, or the files, with matching names; follows links."""
        for entry in self._entries(prefix):
            path = f"{prefix}{entry.name}"
            wanted = entry.is_folder if folders else entry.is_file
            if wanted and fnmatchcase(entry.name, part):
                if folders and not self._may_enter(path, entry):
                    continue
                yield path

    def _below(self, prefix: str) -> Iterator[str]:
        """Yield the folders in a folder, without links."""
        for entry in self._entries(prefix):
            path = f"{prefix}{entry.name}"
            if entry.is_folder and not entry.is_link and self._may_enter(path, entry):
                self._require_depth(path.count("/"))
                yield f"{path}/"

    def _entries(self, prefix: str) -> list["_Entry"]:
        """Return the entries of a folder."""
        found: list[_Entry] = []
        with os.scandir(self._folder / prefix) as entries:
            for entry in entries:
                self._left -= 1
                if self._left < 0:
                    raise TooManyError(self._folder)
                found.append(_entry(entry))
        return found

    def _may_enter(self, path: str, entry: "_Entry") -> bool:
        if entry.name in NEVER_BY_PATTERN:
            return False
        if not entry.is_link:
            return True
        self._links_left -= 1
        if self._links_left < 0:
            raise TooManyError(self._folder)
        try:
            self._bounds.resolve(self._folder / path)
        except OutsideError as error:
            self.outside[path] = error.target
            return False
        return True

    def _require_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooManyError(self._folder)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in a folder, and what it is after following links."""

    name: str
    is_folder: bool
    is_file: bool
    is_link: bool


def _entry(entry: "os.DirEntry[str]") -> _Entry:
    try:
        return _Entry(entry.name, entry.is_dir(), entry.is_file(), entry.is_symlink())
    except OSError:  # a loop of links
        return _Entry(entry.name, is_folder=False, is_file=False, is_link=True)
