"""Weights below an address: a file's name is appended to it.

Raises an error for patterns, because an address does not list its files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from mealkit.digest import Digest
from mealkit.errors import Problem, failure
from mealkit.recipe.origins import HttpOrigin
from mealkit.recipe.weight_places import HttpPlace
from mealkit.sources.ranges import FileRanges, HttpRanges, RangeReader
from mealkit.sources.source import PinnedFile, Supplies, is_pattern
from mealkit.web.http_client import bare_url


class HttpReader:
    """An address of a folder."""

    def __init__(self, place: HttpPlace, supplies: Supplies) -> None:
        self._url = place.url.rstrip("/")
        self._supplies = supplies

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Download and hash each file; if the kit asserts its digest, read only its header."""
        pinned = []
        for name in sorted(set(patterns)):
            if is_pattern(name):
                raise failure(
                    "SOURCE_NOT_FOUND",
                    f"{name} is a pattern, but an address does not list its files",
                    hint="write every file's name",
                    where=bare_url(self._url),
                )
            expected = asserted.get(name)
            if expected is None:
                digest, path = self._supplies.downloader.fetch(self._address(name))
                ranges: RangeReader = FileRanges(path)
            else:
                digest, ranges = expected, self._ranges(name, expected)
            pinned.append(PinnedFile(name, digest, ranges.size_bytes, ranges))
        return pinned

    def origin(self, name: str) -> HttpOrigin:
        """Return the file's name, not the address: a lock contains no hosts."""
        return HttpOrigin(file=name)

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:
        """Download a file and verify it."""
        _, path = self._supplies.downloader.fetch(
            self._address(name), expected=expected, size_bytes=size_bytes
        )
        return path

    def notices(self) -> list[Problem]:
        """Return no problems: nothing is known about an address."""
        return []

    def close(self) -> None:
        """Do nothing: the downloader is the caller's."""

    def _address(self, name: str) -> str:
        return f"{self._url}/{quote(name)}"

    def _ranges(self, name: str, expected: Digest) -> RangeReader:
        downloader = self._supplies.downloader
        cached = downloader.cache.path(expected)
        if cached is not None:
            return FileRanges(cached)
        return HttpRanges(downloader.client, self._address(name), {}, digest_expected=True)
