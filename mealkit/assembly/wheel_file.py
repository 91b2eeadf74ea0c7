"""Opens a wheel's zip archive with limits, which are checked before anything is unpacked.

Raises UntrustedError if the directory is too large, if members overlap, occur twice or have a
compression that wheels do not use, and if the stated sizes are far above those of any real wheel.
Format: PKWARE's APPNOTE, as Python's zipfile reads it.
"""

import csv
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mealkit.untrusted import UntrustedError, open_regular, shown

# Some 90,000 members of the shortest names; real wheels have up to 30,000.
_MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
# Wheels are compressed to a third, text to a tenth. Only zeros shrink to a hundredth.
_MAX_RATIO = 100
_ALWAYS_ALLOWED_BYTES = 64 * 1024 * 1024
_MAX_RECORD_BYTES = 16 * 1024 * 1024
_MAX_LINE_CHARACTERS = 64 * 1024
_HEADER_BYTES = 30
# Writers without Unix modes write 0.
_FILES = frozenset({0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class _Bounded(io.FileIO):
    """A file that limits each read to the allowed size of a directory."""

    def __del__(self) -> None:
        self.close()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like a file; raise if more is requested."""
        if size is None or size < 0:
            size = max(0, self.size_bytes - self.tell())
        if size > _MAX_DIRECTORY_BYTES:
            raise UntrustedError(f"its directory has more than {_MAX_DIRECTORY_BYTES} bytes")
        return super().read(size) or b""

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return os.fstat(self.fileno()).st_size


def open_wheel(path: Path) -> zipfile.ZipFile:
    """Open a wheel; it is closed with the last reference to it.

    Raises:
        UntrustedError: the wheel exceeds a limit.
        OSError, and the exceptions of zipfile: the file cannot be read, or is not a regular file.
    """
    file = _Bounded(open_regular(path), "rb")
    try:
        _check_beginning(file.read(4))
        archive = zipfile.ZipFile(file)
        _check(archive.infolist(), file.size_bytes)
    except BaseException:
        file.close()
        raise
    return archive


def record_of(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the SHA-256 digests that a wheel's RECORD states, by member.

    Raises:
        UntrustedError: the wheel does not have exactly one RECORD, or it cannot be read.
    """
    found = [info for info in archive.infolist() if _is_record(info.filename)]
    if len(found) != 1:
        raise UntrustedError(f"it has {len(found)} RECORD files, expected 1")
    if found[0].file_size > _MAX_RECORD_BYTES:
        raise UntrustedError(f"its RECORD has {found[0].file_size} bytes")
    most_rows = 2 * len(archive.infolist()) + 10
    stated: dict[str, str] = {}
    try:
        text = archive.read(found[0]).decode()
        for number, row in enumerate(csv.reader(_lines(text))):
            if number > most_rows:
                raise UntrustedError("its RECORD has more lines than the wheel has files")
            if len(row) >= 2 and row[1].startswith("sha256="):
                digest = row[1].removeprefix("sha256=")
                if stated.setdefault(row[0], digest) != digest:
                    raise UntrustedError(f"its RECORD states two digests for {shown(row[0])}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise UntrustedError(f"its RECORD cannot be read: {error}") from error
    return stated


def _check_beginning(data: bytes) -> None:
    # Zip readers accept any bytes before an archive, such as a file of another format.
    if data != b"PK\x03\x04":
        raise UntrustedError("it does not start like a wheel")


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text):
        if len(line) > _MAX_LINE_CHARACTERS:
            raise UntrustedError("its RECORD has a line that is too long")
        yield line


def _is_record(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] == "RECORD"


def _check(members: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Raise if the directory states something that is not allowed for a member."""
    names = set()
    for info in members:
        if info.filename in names:
            raise UntrustedError(f"it has {shown(info.filename)} twice")
        names.add(info.filename)
        if info.compress_type not in _METHODS:
            raise UntrustedError(f"{shown(info.filename)} is neither stored nor deflated")
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in _FILES:
            raise UntrustedError(f"{shown(info.filename)} is not a file")
    _check_overlaps(members, file_bytes)
    stated_bytes = sum(info.file_size for info in members)
    if stated_bytes > _ALWAYS_ALLOWED_BYTES + _MAX_RATIO * file_bytes:
        raise UntrustedError(
            f"its files would have {stated_bytes} bytes, too many for a wheel of {file_bytes}"
        )


def _check_overlaps(members: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Raise if members share bytes: a small file could then unpack to many large ones."""
    end = 0
    for info in sorted(members, key=lambda item: item.header_offset):
        if info.header_offset < end:
            raise UntrustedError(f"{shown(info.filename)} overlaps another member")
        end = info.header_offset + _HEADER_BYTES + len(info.orig_filename) + info.compress_size
    if end > file_bytes:
        raise UntrustedError("its members extend beyond its end")
