"""Reads a project's folder for an importer: the text of small text files, the sizes of others.

Raises KitError if the folder does not exist or has too many files. Does not follow links.
"""

from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import failure
from mealkit.files.whole import disk_errors
from mealkit.untrusted import UntrustedError, read_file

# The limit for a code file in a kit.
TEXT_BYTES = 1024 * 1024
# The limit for all texts of a project: its code, and word lists of papers.
_MOST_TEXT_BYTES = 32 * 1024 * 1024
_MOST_FILES = 20_000
_DEEPEST = 32
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The files of a folder, by their relative paths, without hidden files and caches."""

    folder: Path
    """The folder, absolute."""
    texts: dict[str, str]
    """Small files that are UTF-8 text."""
    others: dict[str, int]
    """The sizes in bytes of all other files."""


def read_folder(folder: Path) -> FolderContent:
    """Read a folder.

    Raises:
        KitError: the folder does not exist, or has too many files (``USAGE``).
        StoreError: a file cannot be read.
    """
    if not folder.is_dir():
        raise failure("USAGE", f"there is no folder {folder}", where=str(folder))
    content = FolderContent(folder.resolve(), {}, {})
    left_bytes = _MOST_TEXT_BYTES
    with disk_errors(folder, "the folder cannot be read"):
        for path in _files(content.folder):
            left_bytes -= _add(path, content, left_bytes)
    return content


def _files(top: Path) -> list[Path]:
    """Return the files below a folder, sorted.

    Raises:
        KitError: there are too many files or too many levels (``USAGE``).
    """
    found: list[Path] = []
    todo, seen = [(top, 0)], 0
    while todo:
        folder, depth = todo.pop()
        for path in folder.iterdir():
            seen += 1
            if seen > _MOST_FILES or depth > _DEEPEST:
                message = f"{top} has more than {_MOST_FILES} files, or more than {_DEEPEST} levels"
                raise failure("USAGE", message, hint="name the project's own folder")
            if path.name.startswith(".") or path.name in _SKIPPED or path.is_symlink():
                continue
            if path.is_dir():
                todo.append((path, depth + 1))
            elif path.is_file():
                found.append(path)
    return sorted(found)


def _add(path: Path, content: FolderContent, left_bytes: int) -> int:
    """Add a file; return its number of bytes of text."""
    name = path.relative_to(content.folder).as_posix()
    size_bytes = path.lstat().st_size
    if size_bytes <= min(TEXT_BYTES, left_bytes):
        try:
            text = read_file(path, TEXT_BYTES, follow=False).decode()
        except (UnicodeDecodeError, UntrustedError):
            pass
        else:
            if "\0" not in text:
                content.texts[name] = text
                return size_bytes
    content.others[name] = size_bytes
    return 0
