"""Opens untrusted ZIP archives, with a limit for the size of their directory.

Raises UntrustedError for a directory that is too large, and for everything that Python's zipfile
cannot read.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from mealkit.sources.ranges import FileRanges, RangeFile, RangeReader
from mealkit.untrusted import UntrustedError

# Some 90,000 members, which take ten times as much memory as objects.
_MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
# The exceptions of zipfile for bytes that are not an archive, or one that it does not support.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    ValueError,
    LookupError,
    struct.error,
)


@contextmanager
def open_archive(ranges: RangeReader) -> Iterator[zipfile.ZipFile]:
    """Open an archive to read; its members are stored or deflated.

    Raises:
        UntrustedError: the archive cannot be read, also in the body, or its directory is too large.
    """
    file = RangeFile(ranges, _MAX_DIRECTORY_BYTES)
    with reading_archive(), zipfile.ZipFile(cast("IO[bytes]", file)) as archive:
        yield archive


def require_directory(path: Path) -> None:
    """Raise if the directory of a file is too large for zipfile.

    Raises:
        UntrustedError: the directory is too large, or the file is not an archive.
        OSError: the file does not exist.
    """
    path.stat()
    with open_archive(FileRanges(path)):
        pass


@contextmanager
def reading_archive() -> Iterator[None]:
    """Turn the exceptions of zipfile into one error.

    Raises:
        UntrustedError: the archive cannot be read.
    """
    try:
        yield
    except UntrustedError:
        raise
    except _UNREADABLE as error:
        raise UntrustedError(str(error) or type(error).__name__) from error
