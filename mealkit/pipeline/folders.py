"""Reads a project's folder for an importer: its small text files as text, of others the sizes.

Refuses a folder that is none, and one with more files than any project has. Follows no link.
"""

from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import disk_failure, failure

# What a kit's file of code may have.
TEXT_BYTES = 1024 * 1024
_MOST_FILES = 20_000
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The files of a folder, by their paths in it; hidden ones and caches are left out."""

    folder: Path
    """The folder, absolute."""
    texts: dict[str, str]
    """Small files that are UTF-8 text."""
    others: dict[str, int]
    """The sizes in bytes of all other files."""


def read_folder(folder: Path) -> FolderContent:
    """Read a folder.

    Raises:
        KitError: there is no such folder, or it has too many files (``USAGE``).
        StoreError: a file cannot be read.
    """
    if not folder.is_dir():
        raise failure("USAGE", f"there is no folder {folder}", where=str(folder))
    content = FolderContent(folder.resolve(), {}, {})
    try:
        for count, path in enumerate(_files(content.folder)):
            if count >= _MOST_FILES:
                message = f"{folder} has more than {_MOST_FILES} files"
                raise failure("USAGE", message, hint="name the project's own folder")
            _add(path, content)
    except OSError as error:
        raise disk_failure(error, "the folder cannot be read", str(folder)) from error
    return content


def _files(folder: Path) -> "list[Path]":
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED or path.is_symlink():
            continue
        if path.is_dir():
            found += _files(path)
            if len(found) > _MOST_FILES:
                break
        elif path.is_file():
            found.append(path)
    return found


def _add(path: Path, content: FolderContent) -> None:
    name = path.relative_to(content.folder).as_posix()
    size_bytes = path.stat().st_size
    if size_bytes <= TEXT_BYTES:
        data = path.read_bytes()
        try:
            text = data.decode()
        except UnicodeDecodeError:
            pass
        else:
            if "\0" not in text:
                content.texts[name] = text
                return
    content.others[name] = size_bytes
