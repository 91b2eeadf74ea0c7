"""What tells that a file is still the one that was hashed, without reading it again.

Refuses anything but regular files.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote_to_bytes

# The kernel stamps files with a clock that moves at least every 10 ms (100 Hz); twice that is safe.
TICK_NS = 20_000_000
# Some file systems keep whole seconds, or every other one (FAT).
COARSE_TICK_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class FileKey:
    """Size, times, inode and device: equal as long as the file is not written to or replaced.

    The change time cannot be set by programs, so a restored modification time hides nothing.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path, *, follow: bool = True) -> Self:
        """Look at a file, through symbolic links if ``follow`` says so.

        Raises:
            OSError: it cannot be looked at, or is not a regular file.
        """
        found = path.stat(follow_symlinks=follow)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)

    @property
    def tick_ns(self) -> int:
        """How far apart two changes must be to get different times on the file's file system."""
        whole_seconds = self.ctime_ns % 1_000_000_000 == 0
        return COARSE_TICK_NS if whole_seconds else TICK_NS

    def is_settled_at(self, clock_ns: int) -> bool:
        """Tell whether a change at or after ``clock_ns`` is bound to change this key.

        As in git's index: what was written in the same tick of the clock cannot be told apart.
        """
        return self.ctime_ns + self.tick_ns < clock_ns

    def difference(self, other: "FileKey") -> str:
        """Say what differs, for a message."""
        if self.size_bytes != other.size_bytes:
            return f"{other.size_bytes} bytes instead of {self.size_bytes}"
        if (self.inode, self.device) != (other.inode, other.device):
            return "another file has its name"
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
            ValueError: it is not five whole numbers.
        """
        if not isinstance(form, list) or len(form) != 5 or not all(type(n) is int for n in form):
            raise ValueError(f"{form!r} is not a file key")
        return cls(*form)


def text_of(path: Path) -> str:
    """Return an absolute path as text that JSON can hold, whatever bytes its name has."""
    return path.as_uri()


def path_of(text: str) -> Path:
    """Return the path that ``text_of`` was given.

    Raises:
        ValueError: the text is not of that form.
    """
    if not text.startswith("file:///"):
        raise ValueError(f"{text!r} is not the URI of a file")
    return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))))
