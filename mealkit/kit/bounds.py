"""The folders that a kit's files may be in: its own, and those that the caller allows.

Checks where a path points after its links are resolved, not how it is written. Opens a file before
the check, so that no link can be changed between the check and the read. Raises OutsideError.
"""

import errno
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mealkit.errors import Problem, problem
from mealkit.untrusted import UntrustedError, read_file

OPTION = "--allow-folder"
VARIABLE = "MEALKIT_ALLOW_FOLDERS"


class OutsideError(Exception):
    """A path points to ``target``, which is in none of the folders that a kit may use."""

    def __init__(self, target: Path) -> None:
        super().__init__(str(target))
        self.target = target

    def as_problem(self, name: str, where: str | None, *, is_folder: bool = False) -> Problem:
        """Return the problem: which path points outside, and the option that allows it."""
        folder = self.target if is_folder or self.target.is_dir() else self.target.parent
        return problem(
            "KIT_PATH_OUTSIDE",
            f"{name} points to {self.target}, outside the kit's folder",
            hint=f"move it into the kit's folder; or, if the kit may read there, add: "
            f"{OPTION} {shlex.quote(str(folder))}",
            where=where,
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """The folders that a kit's files may be in, with links resolved."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, allowed: Sequence[Path] = ()) -> Self:
        """Return the bounds of a kit: its folder, and the folders that the caller allows."""
        return cls(tuple(_followed(item) for item in (folder, *allowed)))

    def contain(self, real: Path) -> bool:
        """Return whether a path without links is in one of the folders."""
        return any(real.is_relative_to(root) for root in self.roots)

    def resolve(self, path: Path) -> Path:
        """Return the target of a path; it need not exist.

        Raises:
            OutsideError: the target is outside the bounds.
            OSError: the path has a loop of links, or a folder on the way cannot be read.
        """
        real = _followed(path)
        if not self.contain(real):
            raise OutsideError(real)
        return real

    @contextmanager
    def opened(self, path: Path) -> Iterator[Path]:
        """Open a file and yield a path that stays valid if the file is renamed or replaced.

        Opens with O_PATH, without reading: nothing happens to a device or a FIFO.

        Raises:
            OutsideError: the file is outside the bounds.
            UntrustedError: the path is not a regular file.
            OSError: the file does not exist, or cannot be opened.
        """
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            place = Path(f"/proc/self/fd/{descriptor}")
            real = place.readlink()
            if not self.contain(real):
                raise OutsideError(real)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UntrustedError("it is not a regular file")
            yield place
        finally:
            os.close(descriptor)

    def read(self, path: Path, max_bytes: int) -> bytes:
        """Read a file of at most ``max_bytes``.

        Raises:
            OutsideError: the file is outside the bounds.
            UntrustedError: the path is not a regular file, or the file is too large.
            OSError: the file does not exist, or cannot be read.
        """
        with self.opened(path) as place:
            return read_file(place, max_bytes)


def _followed(path: Path) -> Path:
    """Resolve every link on a path.

    Raises:
        OSError: the links form a loop.
    """
    try:
        real = path.resolve()
    except RuntimeError as error:  # before Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return real
