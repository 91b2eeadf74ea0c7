"""Where a kit's files may lie: in its own folder, and in folders that the caller allowed besides.

What a path leads to decides, links followed, not how it is written. A file is held before it is
judged, so that no link changes between the judgement and the reading.
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
    """A path leads to ``target``, which is in none of the folders that a kit may use."""

    def __init__(self, target: Path) -> None:
        super().__init__(str(target))
        self.target = target

    def told(self, name: str, where: str | None, *, is_folder: bool = False) -> Problem:
        """Say what leads outside, and what allows it."""
        folder = self.target if is_folder or self.target.is_dir() else self.target.parent
        return problem(
            "KIT_PATH_OUTSIDE",
            f"{name} leads to {self.target}, outside of the kit's folder",
            hint=f"move it into the kit's folder; or, if the kit may read there, add: "
            f"{OPTION} {shlex.quote(str(folder))}",
            where=where,
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """The folders that a kit's files may lie in, their own links resolved."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, allowed: Sequence[Path] = ()) -> Self:
        """Bound a kit to its folder and to those that the caller allowed."""
        return cls(tuple(_followed(item) for item in (folder, *allowed)))

    def contain(self, real: Path) -> bool:
        """Tell whether a path without links is in one of the folders."""
        return any(real.is_relative_to(root) for root in self.roots)

    def resolve(self, path: Path) -> Path:
        """Return where a path leads; nothing need be there.

        Raises:
            OutsideError: it leads outside.
            OSError: its links lead in a circle, or a folder on the way cannot be read.
        """
        real = _followed(path)
        if not self.contain(real):
            raise OutsideError(real)
        return real

    @contextmanager
    def held(self, path: Path) -> Iterator[Path]:
        """Hold a file, and give a path that stays the same file whatever becomes of its names.

        Only its place is opened, not its content: no device or FIFO notices.

        Raises:
            OutsideError: it lies outside.
            UntrustedError: it is not a regular file.
            OSError: it is not there, or cannot be reached.
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
            OutsideError: it lies outside.
            UntrustedError: it is not a regular file, or is too large.
            OSError: it is not there, or cannot be read.
        """
        with self.held(path) as place:
            return read_file(place, max_bytes)


def _followed(path: Path) -> Path:
    """Resolve every link on a path.

    Raises:
        OSError: they lead in a circle.
    """
    try:
        real = path.resolve()
    except RuntimeError as error:  # before Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return real
