"""Whether a folder is the user's own: no other user may change it, or put another in its place.

What lies in mealkit's home is trusted: verified files, images, records of runs. So whoever can
write there, or can rename a folder above it, decides what is run. The rules are those of sshd for
a user's keys (sshd_config(5), StrictModes), with sticky folders such as /tmp allowed on the way.
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
    """Make a folder that only this user can look into, or make sure that one is this user's own.

    One that others can look into is closed to them. A folder that cannot be made is left to those
    who write there.

    Raises:
        StoreError: ``HOME_UNSAFE``: another user could change it.
    """
    with suppress(OSError):
        # One by one: pathlib gives the folders above the mode that the umask leaves.
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
    """Refuse a folder that another user could change, or replace; ``shared``: it may be sticky.

    Raises:
        StoreError: ``HOME_UNSAFE``.
    """
    try:
        ends = {folder.absolute(), folder.resolve()}
    except RuntimeError:  # a circle, before Python 3.13
        ends = {folder.absolute()}
    for step, found in _way(folder):
        is_last = step in ends
        _require_owner(step, found.st_uid, is_last=is_last)
        if not stat.S_ISDIR(found.st_mode) or not found.st_mode & _WRITABLE:
            continue
        if found.st_mode & stat.S_ISVTX and (shared or not is_last):
            continue  # others who may write there can remove only their own files
        if found.st_mode & stat.S_IWOTH or not _is_private_group(found.st_gid, found.st_uid):
            raise _unsafe(
                f"{step} can be written to by others (mode {stat.S_IMODE(found.st_mode):04o})",
                f"look for what others put there, then: chmod go-w {shlex.quote(str(step))}",
                folder,
            )


def _way(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every folder and link on the way to a folder; what is not there ends it.

    Raises:
        StoreError: ``HOME_UNSAFE``: links lead in a circle.
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
            raise _unsafe(f"the links on the way to {folder} do not end", "name another", folder)
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
            f"{folder} cannot be closed to others: {error.strerror}",
            "set MEALKIT_HOME to a folder on a file system with modes",
            folder,
        ) from error


def _is_private_group(group: int, owner: int) -> bool:
    """Tell whether a group has no other member than a file's owner, as most users' own groups."""
    try:
        entry, name = grp.getgrgid(group), _name(owner)
    except KeyError:
        return False
    users = {user.pw_name for user in pwd.getpwall() if user.pw_gid == group}
    return not {*users, *entry.gr_mem} - {name, "root"}


def _unmapped() -> int | None:
    """Return the owner that a user namespace shows for those who are not mapped into it.

    On the way to a home those are the system's folders, which root of the machine owns.
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
