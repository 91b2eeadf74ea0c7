"""Tells which files a .dockerignore excludes. No I/O.

Format: https://docs.docker.com/build/concepts/context/#dockerignore-files. A pattern that begins
with ``!`` includes files again; the last pattern that matches a file or a folder above it counts.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

_MOST_PATTERNS = 1000
_ANY_FOLDERS = "**"


class DockerIgnore:
    """The patterns of a .dockerignore."""

    def __init__(self, text: str) -> None:
        self._patterns = list(_patterns(text))[:_MOST_PATTERNS]

    def excludes(self, path: str) -> bool:
        """Return whether a file is not copied; ``path`` is relative to the folder."""
        parts = path.split("/")
        excluded = False
        for is_exception, pattern in self._patterns:
            if excluded is is_exception and _matches(pattern, parts):
                excluded = not is_exception
        return excluded


def _patterns(text: str) -> Iterator[tuple[bool, list[str]]]:
    for raw in text.removeprefix("\ufeff").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        written = line.removeprefix("!").strip().replace("[^", "[!").replace("\\", "")
        parts = [part for part in written.split("/") if part not in ("", ".")]
        if parts and ".." not in parts:
            yield line.startswith("!"), parts


def _matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Return whether a pattern matches a path, or a folder above it."""
    places = _after_any(pattern, {0})
    for part in path:
        stays = {place for place in places if pattern[place] == _ANY_FOLDERS}
        goes = {place + 1 for place in places - stays if fnmatchcase(part, pattern[place])}
        places = _after_any(pattern, stays | goes)
        if len(pattern) in places:
            return True
    return False


def _after_any(pattern: Sequence[str], places: set[int]) -> set[int]:
    """Add the places behind ``**``, which may match no folder."""
    found = set(places)
    for place in range(len(pattern)):
        if place in found and pattern[place] == _ANY_FOLDERS:
            found.add(place + 1)
    return found
