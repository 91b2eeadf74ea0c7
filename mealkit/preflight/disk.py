"""Reads the free space on disks, at the given paths, and in shared memory."""

import shutil
from pathlib import Path

from mealkit.preflight.fact import Fact
from mealkit.preflight.roots import Roots


class Disk(Fact):
    """The space at a path, or at the nearest folder above it that exists."""

    path: Path
    free_bytes: int | None
    """The space that this user can still write."""
    total_bytes: int | None


class SharedMemory(Fact):
    """The space for memory that processes share, as for NCCL and data loaders: /dev/shm."""

    total_bytes: int | None
    free_bytes: int | None


def read_disk(path: Path) -> Disk:
    """Read the space at a path."""
    reason = "neither this folder nor any parent of it exists"
    for folder in (path, *path.parents):
        try:
            usage = shutil.disk_usage(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = f"{folder}: {error.strerror}"
            break
        return Disk(path=path, free_bytes=usage.free, total_bytes=usage.total)
    unknown = {"free_bytes": reason, "total_bytes": reason}
    return Disk(path=path, free_bytes=None, total_bytes=None, unknown=unknown)


def read_shared_memory(roots: Roots) -> SharedMemory:
    """Read the space in /dev/shm."""
    folder = roots.dev / "shm"
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        reason = f"{folder}: {error.strerror}"
        unknown = {"total_bytes": reason, "free_bytes": reason}
        return SharedMemory(total_bytes=None, free_bytes=None, unknown=unknown)
    return SharedMemory(total_bytes=usage.total, free_bytes=usage.free)
