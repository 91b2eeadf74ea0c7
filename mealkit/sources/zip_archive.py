"""ZIP archives of others, opened so that their directory costs no more than it may.

Refuses a directory that is too large to be held, and whatever Python's zipfile cannot read.
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

# Some 90,000 members, which take ten times as much once they are objects.
_MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
# What zipfile raises on bytes that are no archive, or one that it does not know.
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
        UntrustedError: also from the body: it cannot be read, or its directory is too large.
    """
    file = RangeFile(ranges, _MAX_DIRECTORY_BYTES)
    with reading_archive(), zipfile.ZipFile(cast("IO[bytes]", file)) as archive:
        yield archive


def require_directory(path: Path) -> None:
    """Refuse a file whose directory is too large for zipfile to be given the file.

    Raises:
        UntrustedError: it is, or the file is no archive.
        OSError: there is no such file.
    """
    path.stat()
    with open_archive(FileRanges(path)):
        pass


@contextmanager
def reading_archive() -> Iterator[None]:
    """Turn what zipfile raises into one error.

    Raises:
        UntrustedError: the archive cannot be read.
    """
    try:
        yield
    except UntrustedError:
        raise
    except _UNREADABLE as error:
        raise UntrustedError(str(error) or type(error).__name__) from error
