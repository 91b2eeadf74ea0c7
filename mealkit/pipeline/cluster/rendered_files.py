"""Writes rendered files into a folder, each whole."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mealkit.files.whole import write_whole
from mealkit.names import inside


def write_files(files: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Write files by their paths in a folder, and yield each path; other files there stay.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    for name, text in files.items():
        path = inside(folder, name)
        write_whole(path, text.encode(), mode=0o644)
        yield path
