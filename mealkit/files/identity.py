"""Detects without reading whether a file is still the one that was hashed.

Raises OSError for anything but regular files.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote_to_bytes

# The kernel's clock for files moves at least every 10 ms (100 Hz); twice that is safe.
TICK_NS = 20_000_000
# Some file systems store whole seconds, or every other one (FAT).
COARSE_TICK_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class FileKey:
    """Size, times, inode and device: equal if the file was neither written nor replaced.

    Programs cannot set the change time, so it reveals a write even if the modification time was
    restored.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path, *, follow: bool = True) -> Self:
        """Read a file's key; follows symbolic links if ``follow`` is true.

        Raises:
            OSError: the file cannot be read, or is not a regular file.
        """
        found = path.stat(follow_symlinks=follow)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)

    @property
    def tick_ns(self) -> int:
        """The minimum time between two changes to get different times on the file system."""
        whole_seconds = self.ctime_ns % 1_000_000_000 == 0
        return COARSE_TICK_NS if whole_seconds else TICK_NS

    def is_settled_at(self, clock_ns: int) -> bool:
        """Return whether a change at or after ``clock_ns`` would certainly change this key.

        As in git's index: two writes within one tick of the clock cannot be distinguished.
        """
        return self.ctime_ns + self.tick_ns < clock_ns

    def difference(self, other: "FileKey") -> str:
        """Return the difference in words, for a message."""
        if self.size_bytes != other.size_bytes:
            return f"{other.size_bytes} bytes instead of {self.size_bytes}"
        if (self.inode, self.device) != (other.inode, other.device):
            return "its name now belongs to another file"
        if self.mtime_ns != other.mtime_ns:
            return "its modification time differs"
        return "its change time differs (written, renamed or linked)"

    def as_json(self) -> list[int]:
        """Return the JSON form."""
        return [self.size_bytes, self.mtime_ns, self.ctime_ns, self.inode, self.device]

    @classmethod
    def from_json(cls, form: Any) -> Self:
        """Read the JSON form.

        Raises:
            ValueError: the form is not five whole numbers.
        """
        if not isinstance(form, list) or len(form) != 5 or not all(type(n) is int for n in form):
            raise ValueError(f"{form!r} is not a file key")
        return cls(*form)


def text_of(path: Path) -> str:
    """Return an absolute path as text for JSON, whatever bytes its name has."""
    return path.as_uri()


def path_of(text: str) -> Path:
    """Return the path that was passed to ``text_of``.

    Raises:
        ValueError: the text does not have that form.
    """
    if not text.startswith("file:///"):
        raise ValueError(f"{text!r} is not the URI of a file")
    return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))))
