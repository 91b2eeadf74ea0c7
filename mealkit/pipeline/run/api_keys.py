"""Adds, lists and removes keys in a file of hashes, which running kits read.

Raises KitError for a new name that is already in the file, and for a name to remove that is not.
The file is changed in place, never replaced: a container that mounts it would not see a new file.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from mealkit.errors import failure
from mealkit.files.whole import disk_errors
from mealkit.runtime.gateway.keys import KeyHash, new_key, read_keys
from mealkit.runtime.key_rules import ANYTHING, KeyRules

# The container's user has no rights on the host and must read the file. A hash of 256 random bits
# is not a secret.
_MODE = 0o644
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; only its creation shows it."""

    key: str
    name: str
    line: str
    """The line of a keys file for it."""


def add_key(name: str, file: Path | None, rules: KeyRules = ANYTHING) -> NewKey:
    """Create a key, and append its hash to a file if one is given; create the file if necessary.

    ``rules`` are what the key may do.

    Raises:
        KitError: ``USAGE``, the name is not valid, or already in the file.
        ContainerError: ``CONFIG_INVALID``, the file is not a keys file.
        StoreError: it cannot be written to.
    """
    key, kept = new_key(name, rules)
    if file:
        with _opened(file, os.O_RDWR | os.O_CREAT) as descriptor:
            text = _text(descriptor)
            if any(known.name == name for known in read_keys(text, str(file))):
                hint = f"choose another name, or: mealkit key remove --name {name} --file {file}"
                raise failure("USAGE", f"there is a key named {name!r}", hint=hint)
            # One write: a concurrent reader sees the whole line or nothing.
            begin = "" if not text or text.endswith("\n") else "\n"
            os.lseek(descriptor, 0, os.SEEK_END)
            os.write(descriptor, f"{begin}{kept.line}\n".encode())
            os.fsync(descriptor)
    return NewKey(key, name, kept.line)


def list_keys(file: Path) -> list[KeyHash]:
    """Return the lines of a keys file.

    Raises:
        ContainerError: ``CONFIG_INVALID``, it is not a keys file.
        StoreError: it cannot be read.
    """
    with _opened(file, os.O_RDONLY) as descriptor:
        return read_keys(_text(descriptor), str(file))


def remove_key(name: str, file: Path) -> None:
    """Remove a key; its line stays as a comment.

    Raises:
        KitError: ``USAGE``, the file has no key with that name.
        ContainerError: ``CONFIG_INVALID``, the file is not a keys file.
        StoreError: it cannot be written to.
    """
    with _opened(file, os.O_RDWR) as descriptor:
        text = _text(descriptor)
        kept = next((item for item in read_keys(text, str(file)) if item.name == name), None)
        if kept is None:
            hint = f"mealkit key list --file {file}"
            raise failure("USAGE", f"there is no key named {name!r}", where=str(file), hint=hint)
        # A single byte is written: a reader never sees half a change.
        before = text[: _start_of(kept, text)]
        os.pwrite(descriptor, b"#", len(before.encode(errors="surrogateescape")))
        os.fsync(descriptor)


@contextmanager
def _opened(file: Path, flags: int) -> Iterator[int]:
    with disk_errors(file, "the file cannot be opened"):
        descriptor = os.open(file, flags | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(file))
            flock(descriptor, LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _text(descriptor: int) -> str:
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes > _MAX_BYTES:
        raise OSError(errno.EINVAL, f"it has more than {_MAX_BYTES} bytes")
    return os.pread(descriptor, size_bytes, 0).decode(errors="surrogateescape")


def _start_of(kept: KeyHash, text: str) -> int:
    """Return where a key's line begins in the text of its file; a comment may quote the line."""
    start = 0
    for line in text.splitlines(keepends=True):
        content = line.lstrip()
        if content.startswith(f"sha256:{kept.sha256.hex()}"):
            return start + len(line) - len(content)
        start += len(line)
    raise AssertionError("a key that was read from the text is not in it")
