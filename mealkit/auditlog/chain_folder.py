"""The folders and files of an audit log: one folder for each chain, and in it numbered files.

A chain has one writer at a time: the process that has locked its folder. A second replica with the
same volume writes a chain of its own.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

AUDIT_FOLDER = "audit"
"""The folder of the log in the kit's state folder."""
KEY_NAME = "audit.key"
"""The file of a key that the kit has created, beside the chains."""

_MAX_CHAINS = 1000
_CHAIN = re.compile(r"chain-([0-9]{4})")
_FILE = re.compile(r"audit-([0-9]{6,12})\.jsonl")
_LOCK = "lock"


def chain_folders(folder: Path) -> list[Path]:
    """Return the folders of the chains, in order.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(path for path in folder.iterdir() if _CHAIN.fullmatch(path.name))


def chain_files(chain: Path) -> list[Path]:
    """Return the files of a chain, the oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    found = {int(match[1]): path for path, match in _named(chain)}
    return [found[number] for number in sorted(found)]


def file_at(chain: Path, number: int) -> Path:
    """Return the path of a chain's file with this number."""
    return chain / f"audit-{number:06}.jsonl"


def number_of(path: Path) -> int:
    """Return the number of a chain's file; 0 if its name is another."""
    match = _FILE.fullmatch(path.name)
    return int(match[1]) if match else 0


def free_chains(folder: Path) -> Iterator[tuple[Path, int]]:
    """Lock one chain after the other that no process writes; yield its folder and the lock.

    The caller closes the locks of those that it does not use. New folders are created at the end.

    Raises:
        OSError: a folder cannot be created or locked.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in range(1, _MAX_CHAINS + 1):
        chain = folder / f"chain-{number:04}"
        chain.mkdir(exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(chain / _LOCK, flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        yield chain, lock


def sync_folder(folder: Path) -> None:
    """Write a folder's names to the disk.

    Raises:
        OSError: the disk does not take them.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(chain: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in chain.iterdir():
        if match := _FILE.fullmatch(path.name):
            yield path, match
