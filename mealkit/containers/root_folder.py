"""Changes a folder on disk as if it were /, by untrusted paths.

Every step goes from an open folder to a name in it, and the kernel follows no links: links are
read, and resolved inside the folder. So nothing outside is read, written or deleted, whatever paths
and links contain, even if another process replaces them at the same time. Raises EntryError for
folders that are too deep to delete, for too many folders, and for paths with too many steps.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from mealkit.oci.untar import EntryError

T = TypeVar("T")

MAX_DEPTH = 128  # each level needs open folders, and a process may have some 1000
MAX_NODES = 500_000
_MAX_LINKS = 40  # the limit of the kernel
# A path of 4095 bytes has 2048 parts, and each link in it may add as many.
_MAX_STEPS_OF_PATH = 4096
_MAX_STEPS = 5_000_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Step:
    """An open folder on the path from the root, with a key that is unique for its path."""

    name: bytes
    opened: int
    key: int


class RootFolder:
    """An open root. New entries are fresh until `start_layer`; whiteouts do not delete them."""

    def __init__(self, folder: Path, *, max_nodes: int = MAX_NODES) -> None:
        self._chain = [_Step(b"", os.open(folder, _FOLDER), hash(b""))]
        self._left_steps = _MAX_STEPS
        self._max_nodes = self._left_nodes = max_nodes
        self._fresh: set[int] = set()
        self._holds_fresh: set[int] = set()
        self._cleared: set[int] = set()

    def close(self) -> None:
        """Close all open folders."""
        self._leave(0)

    @property
    def opened(self) -> int:
        """The root's descriptor."""
        return self._chain[0].opened

    def start_layer(self) -> None:
        """Forget which entries are fresh."""
        self._fresh, self._holds_fresh, self._cleared = set(), set(), set()

    def enter(self, parts: Sequence[bytes], *, make: bool) -> int:
        """Walk to a folder, following links inside the root, and return its descriptor.

        It stays open until the next call. With ``make``, missing folders are created.

        Raises:
            EntryError: a part of the path is not a folder or missing, or the path is too deep or
                has a loop of links.
            OSError: the disk refuses.
        """
        known = 0
        for step, part in zip(self._chain[1:], parts, strict=False):
            if step.name != part:
                break
            known += 1
        self._leave(known + 1)
        self._walk(list(reversed(parts[known:])), make=make)
        return self._chain[-1].opened

    def _walk(self, left: list[bytes], *, make: bool) -> None:
        """Take the remaining steps, which are stored in reverse order."""
        links, steps = 0, 0
        while left:
            steps += 1
            aim = self._step(left.pop(), make=make)
            if aim is not None:
                links += 1
                left.extend(reversed(aim.split(b"/")))
            if links > _MAX_LINKS:
                raise EntryError("has a loop of links")
            if steps > _MAX_STEPS_OF_PATH:
                raise EntryError("needs too many steps")
        self._left_steps -= steps
        if self._left_steps < 0:
            raise EntryError("is one of too many paths through links")

    def place(self, name: bytes) -> None:
        """Record that a name in the current folder is fresh."""
        self._fresh.add(hash((self._chain[-1].key, name)))
        for step in reversed(self._chain):
            if step.key in self._holds_fresh:
                return
            self._holds_fresh.add(step.key)

    def make_folder(self, name: bytes) -> None:
        """Create a folder in the current one; replace anything that is not a folder."""
        try:
            self._mkdir(name)
        except FileExistsError:
            if not _is_folder(self._chain[-1].opened, name):
                self.delete(name)
                self._mkdir(name)

    def make_file(self, name: bytes) -> int:
        """Create a file in the current folder, replacing anything there; return its descriptor."""
        here = self._chain[-1].opened
        return self._in_place(name, lambda: os.open(name, _NEW_FILE, 0o600, dir_fd=here))

    def make_symlink(self, name: bytes, target: bytes) -> None:
        """Create a symbolic link in the current folder, replacing anything there."""
        here = self._chain[-1].opened
        self._in_place(name, lambda: os.symlink(target, name, dir_fd=here))

    def make_hardlink(self, parts: Sequence[bytes], aim: Sequence[bytes]) -> None:
        """Add a name for the file at ``aim``; if one of them is a link, it is not followed.

        Raises:
            EntryError: ``aim`` is not a file or link, or its path cannot be resolved.
        """
        source = os.dup(self.enter(aim[:-1], make=False))
        try:
            here = self.enter(parts[:-1], make=True)
            mode = _mode(source, aim[-1])
            if mode is None or not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise EntryError("is a link to something that is not a file")
            link = partial(os.link, src_dir_fd=source, dst_dir_fd=here, follow_symlinks=False)
            try:
                self._in_place(parts[-1], lambda: link(aim[-1], parts[-1]))
            except FileNotFoundError:
                raise EntryError("is a link to itself, or below itself") from None
        finally:
            os.close(source)

    def _in_place(self, name: bytes, make: Callable[[], T]) -> T:
        """Create an entry; delete an existing one with the same name first."""
        self._count()
        try:
            return make()
        except FileExistsError:
            self.delete(name)
            return make()

    def delete(self, name: bytes) -> None:
        """Delete a name in the current folder, with everything below it."""
        delete_tree(self._chain[-1].opened, name)

    def hide(self, name: bytes) -> None:
        """Delete a name in the current folder, except fresh entries."""
        here = self._chain[-1]
        self._hide(here.opened, name, hash((here.key, name)))

    def hide_all(self) -> None:
        """Delete everything in the current folder, except fresh entries."""
        here = self._chain[-1]
        self._clear(here.opened, here.key)

    def _hide(self, folder: int, name: bytes, key: int) -> None:
        if key in self._holds_fresh or key in self._fresh:
            if _is_folder(folder, name):
                opened = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    self._clear(opened, key)
                finally:
                    os.close(opened)
        else:
            delete_tree(folder, name)

    def _clear(self, folder: int, key: int) -> None:
        """Delete all old entries in a folder; this happens once per folder and layer."""
        if key in self._cleared:
            return
        self._cleared.add(key)
        for name in _names(folder):
            self._hide(folder, name, hash((key, name)))

    def _step(self, name: bytes, *, make: bool) -> bytes | None:
        """Enter a folder in the current one; if the name is a link, return its target."""
        if name in {b"", b"."}:
            return None
        if name == b"..":
            self._leave(max(1, len(self._chain) - 1))  # / is its own parent
            return None
        here = self._chain[-1]
        try:
            opened = self._open(here.opened, name, make=make)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            aim = _aim(here.opened, name)
            if aim.startswith(b"/"):
                self._leave(1)
            return aim
        self._chain.append(_Step(name, opened, hash((here.key, name))))
        return None

    def _open(self, folder: int, name: bytes, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            if not make:
                raise EntryError("is below a folder that does not exist") from None
        self._mkdir(name)
        return os.open(name, _FOLDER, dir_fd=folder)

    def _mkdir(self, name: bytes) -> None:
        if len(self._chain) >= MAX_DEPTH:
            raise EntryError(f"is deeper than {MAX_DEPTH} folders")
        self._count()
        os.mkdir(name, 0o755, dir_fd=self._chain[-1].opened)

    def _count(self) -> None:
        self._left_nodes -= 1
        if self._left_nodes < 0:
            raise EntryError(f"is one of more than {self._max_nodes} files and folders")

    def _leave(self, length: int) -> None:
        """Close the open folders beyond the first ``length``."""
        while len(self._chain) > length:
            os.close(self._chain.pop().opened)


def delete_tree(folder: int, name: bytes) -> None:
    """Delete a name in an open folder, with everything below it; links are not followed.

    A missing name is not an error.

    Raises:
        OSError: the disk refuses.
    """
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not _is_folder(folder, name):
            raise
        _delete_folder(folder, name)


def _delete_folder(folder: int, name: bytes) -> None:
    while True:
        found = 0
        opened = os.open(name, _FOLDER, dir_fd=folder)
        try:
            for child in _names(opened):
                found += 1
                delete_tree(opened, child)
        finally:
            os.close(opened)
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            # Some file systems skip names while others are deleted.
            if error.errno != errno.ENOTEMPTY or not found:
                raise
        else:
            return


def _names(folder: int) -> Iterator[bytes]:
    """Yield the names in a folder one by one, because there may be very many."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield os.fsencode(entry.name)


def _aim(folder: int, name: bytes) -> bytes:
    """Return the target of a link.

    Raises:
        EntryError: the name is that of a file.
    """
    with suppress(OSError):
        return os.readlink(name, dir_fd=folder)
    raise EntryError("is below something that is not a folder")


def _mode(folder: int, name: bytes) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _is_folder(folder: int, name: bytes) -> bool:
    mode = _mode(folder, name)
    return mode is not None and stat.S_ISDIR(mode)
