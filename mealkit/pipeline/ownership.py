"""Checks that no other user can change or replace mealkit's home.

mealkit trusts the contents of its home: verified files, images, records of runs. A user who can
write there, or rename a folder above it, could therefore decide what is run. The rules are those
of sshd for a user's keys (sshd_config(5), StrictModes), but sticky folders such as /tmp are allowed
above the home.
"""

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mealkit.errors import MealkitError, failure

_ROOT = 0
_MOST_LINKS = 40
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_OPEN = stat.S_IRWXG | stat.S_IRWXO


def make_own(folder: Path) -> None:
    """Create a folder that only this user can access, or check that an existing one is safe.

    Other users' access to an existing folder is removed. If the folder cannot be created, this
    raises nothing; writing there fails later with its own error.

    Raises:
        StoreError: ``HOME_UNSAFE``, another user could change the folder.
    """
    with suppress(OSError):
        # One by one: with parents=True, pathlib creates the parents with the mode of the umask.
        for step in (*reversed(folder.parents), folder):
            if not step.exists():
                step.mkdir(mode=0o700)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        require_own(folder)
        return
    try:
        require_own(folder)
        _close(descriptor, folder)
    finally:
        os.close(descriptor)


def require_own(folder: Path, *, shared: bool = False) -> None:
    """Raise if another user could change or replace a folder; a ``shared`` one may be sticky.

    Raises:
        StoreError: ``HOME_UNSAFE``, another user could change or replace the folder.
    """
    try:
        ends = {folder.absolute(), folder.resolve()}
    except RuntimeError:  # a loop of links, before Python 3.13
        ends = {folder.absolute()}
    for step, found in _way(folder):
        is_last = step in ends
        _require_owner(step, found.st_uid, is_last=is_last)
        if not stat.S_ISDIR(found.st_mode) or not found.st_mode & _WRITABLE:
            continue
        if found.st_mode & stat.S_ISVTX and (shared or not is_last):
            continue  # other users can remove only their own files there
        if found.st_mode & stat.S_IWOTH or not _is_private_group(found.st_gid, found.st_uid):
            raise _unsafe(
                f"{step} can be written to by others (mode {stat.S_IMODE(found.st_mode):04o})",
                f"look for files of other users, then: chmod go-w {shlex.quote(str(step))}",
                folder,
            )


def require_own_files(path: Path) -> None:
    """Raise if another user could change or replace a file, or a folder and the files in it.

    Raises:
        StoreError: ``HOME_UNSAFE``.
        OSError: the folder cannot be read.
    """
    require_own(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        _require_unwritable(path, found)
        return
    user = os.geteuid()
    with os.scandir(path) as files:
        for file in files:
            one = file.stat(follow_symlinks=False)
            is_safe = one.st_uid in {_ROOT, user} and not one.st_mode & _WRITABLE
            if not (is_safe and stat.S_ISREG(one.st_mode)):  # fast: there may be many thousands
                require_own_files(Path(file.path))


def _require_unwritable(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & _WRITABLE:
        return
    if found.st_mode & stat.S_IWOTH or not _is_private_group(found.st_gid, found.st_uid):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise _unsafe(
            f"{path} can be written to by others (mode {mode})",
            f"compare it with its origin, then: chmod go-w {shlex.quote(str(path))}",
            path,
        )


def _way(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every folder and link on the path to a folder, up to the first that does not exist.

    Raises:
        StoreError: ``HOME_UNSAFE``, the links form a loop.
    """
    here, links = Path("/"), 0
    yield here, here.lstat()
    todo = list(reversed(folder.absolute().parts[1:]))
    while todo:
        part = todo.pop()
        if part == "..":
            here = here.parent
            continue
        step = here / part
        try:
            found = step.lstat()
        except OSError:
            return
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise _unsafe(
                f"the links on the path to {folder} form a loop", "use another folder", folder
            )
        target = step.readlink()
        here = Path("/") if target.is_absolute() else here
        todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _require_owner(step: Path, owner: int, *, is_last: bool) -> None:
    user = os.geteuid()
    if owner in {_ROOT, user} or (not is_last and owner == _unmapped()):
        return
    if user == _ROOT:
        hint = "set MEALKIT_HOME to a folder of root, such as /var/lib/mealkit; with sudo: sudo -H"
    else:
        hint = "set MEALKIT_HOME to a folder of your own"
    message = f"{step} belongs to {_name(owner)}, and mealkit runs as {_name(user)}"
    raise _unsafe(message, hint, step)


def _close(descriptor: int, folder: Path) -> None:
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or not found.st_mode & _OPEN:
        return
    try:
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~_OPEN)
    except OSError as error:
        raise _unsafe(
            f"other users' access to {folder} cannot be removed: {error.strerror}",
            "set MEALKIT_HOME to a folder on a file system with Unix permissions",
            folder,
        ) from error


def _is_private_group(group: int, owner: int) -> bool:
    """Return whether a group has no member except a file's owner, like most users' own groups."""
    try:
        entry, name = grp.getgrgid(group), _name(owner)
    except KeyError:
        return False
    users = {user.pw_name for user in pwd.getpwall() if user.pw_gid == group}
    return not {*users, *entry.gr_mem} - {name, "root"}


def _unmapped() -> int | None:
    """Return the owner that a user namespace shows for users who are not mapped into it.

    On the path to a home these are the system's folders, which belong to the machine's root.
    """
    rows = Path("/proc/self/uid_map").read_text().split()
    if rows[:3] == ["0", "0", "4294967295"]:
        return None
    return int(Path("/proc/sys/kernel/overflowuid").read_text())


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _unsafe(message: str, hint: str, where: Path) -> MealkitError:
    return failure("HOME_UNSAFE", message, hint=hint, where=str(where))
