"""Reads a project's folder for an importer: the text of small text files, the sizes of others.

Follows links within the folder. Names what it does not read: hidden files, and links that lead out
of the folder or nowhere. Raises KitError if the folder does not exist or has too many files.
"""

import codecs
from dataclasses import dataclass, field
from pathlib import Path

from mealkit.errors import failure
from mealkit.files.whole import disk_errors
from mealkit.kit.search import link_in_text
from mealkit.untrusted import UntrustedError, read_file

# The limit for a code file in a kit.
TEXT_BYTES = 1024 * 1024
# The limit for all texts of a project: its code, and word lists of papers.
_MOST_TEXT_BYTES = 32 * 1024 * 1024
_MOST_FILES = 20_000
_DEEPEST = 32
_MOST_NAMED = 50
_MORE = "another hidden file or link"
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})
# Hidden files that matter to tools and not to a program that runs.
_OF_TOOLS = frozenset(
    {
        *(".git", ".hg", ".svn", ".jj", ".github", ".gitlab", ".circleci", ".devcontainer"),
        *(".cog", ".venv", ".tox", ".nox", ".eggs", ".cache", ".ipynb_checkpoints"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode", ".DS_Store"),
        *(".gitignore", ".gitattributes", ".gitmodules", ".gitkeep", ".dockerignore"),
        *(".editorconfig", ".pre-commit-config.yaml", ".flake8", ".pylintrc", ".python-version"),
        *(".coveragerc", ".travis.yml", ".gitlab-ci.yml", ".readthedocs.yaml", ".readthedocs.yml"),
        *(".isort.cfg", ".style.yapf", ".clang-format", ".prettierrc", ".npmrc", ".nojekyll"),
    }
)
# The text that says which files Docker, and so Cog, does not copy.
_IGNORE_FILE = ".dockerignore"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The files of a folder, by their relative paths, without hidden files and caches."""

    folder: Path
    """The folder, absolute."""
    texts: dict[str, str] = field(default_factory=dict)
    """Small files that are UTF-8 text."""
    others: dict[str, int] = field(default_factory=dict)
    """The sizes in bytes of all other files."""
    utf16: dict[str, str] = field(default_factory=dict)
    """The texts of small files in UTF-16, which are also among the others."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why files are neither: hidden files, and links that are not followed."""
    ignore: str = ""
    """The text of .dockerignore."""


def read_folder(folder: Path) -> FolderContent:
    """Read a folder.

    Raises:
        KitError: the folder does not exist, or has too many files (``USAGE``).
        StoreError: a file cannot be read.
    """
    if folder.is_file():
        hint = f"name its folder: {folder.parent}"
        raise failure("USAGE", f"{folder} is a file, not a folder", where=str(folder), hint=hint)
    if not folder.is_dir():
        raise failure("USAGE", f"there is no folder {folder}", where=str(folder))
    top = folder.resolve()
    skipped: dict[str, str] = {}
    left_bytes = _MOST_TEXT_BYTES
    with disk_errors(folder, "the folder cannot be read"):
        ignore = _text_in(_data_of(top / _IGNORE_FILE)) or ""
        content = FolderContent(top, skipped=skipped, ignore=ignore)
        for name, path in sorted(_Walk(top, skipped).files().items()):
            left_bytes -= _add(name, path, content, left_bytes)
    return content


class _Walk:
    """Finds the files below a folder, and names those that it skips."""

    def __init__(self, top: Path, skipped: dict[str, str]) -> None:
        self._top = top
        self._skipped = skipped
        self._seen = 0

    def files(self) -> dict[str, Path]:
        """Return the real path of each file by its name in the folder.

        Raises:
            KitError: there are too many files or too many levels (``USAGE``).
        """
        found: dict[str, Path] = {}
        todo: list[tuple[str, Path, tuple[Path, ...]]] = [("", self._top, (self._top,))]
        while todo:
            prefix, folder, above = todo.pop()
            for entry in sorted(folder.iterdir()):
                self._count(len(above))
                name = f"{prefix}{entry.name}"
                if entry.name in _SKIPPED or entry.name in _OF_TOOLS:
                    continue
                if (real := self._followed(name, entry)) is None or real in above:
                    continue
                is_hidden = any(part.startswith(".") for part in name.split("/"))
                if real.is_dir():
                    todo.append((f"{name}/", real, (*above, real)))
                elif real.is_file() and is_hidden:
                    self._skip(name, "a hidden file")
                elif real.is_file():
                    found[name] = real
        return found

    def _count(self, depth: int) -> None:
        self._seen += 1
        if self._seen > _MOST_FILES or depth > _DEEPEST:
            top = self._top
            message = f"{top} has more than {_MOST_FILES} files, or more than {_DEEPEST} levels"
            raise failure("USAGE", message, hint="name the project's own folder")

    def _followed(self, name: str, entry: Path) -> Path | None:
        """Return the real path of an entry; None if it leads out of the folder, or nowhere."""
        written = link_in_text(entry)
        try:
            real = (written or entry).resolve(strict=True)
        except (OSError, RuntimeError):
            self._skip(name, "a link that leads nowhere")
            return None
        if not real.is_relative_to(self._top):
            self._skip(name, "a link out of the project")
            return None
        return real

    def _skip(self, name: str, why: str) -> None:
        if len(self._skipped) < _MOST_NAMED:
            self._skipped[name] = why
        else:
            self._skipped[_MORE] = f"one of more than {_MOST_NAMED} such files"


def _add(name: str, path: Path, content: FolderContent, left_bytes: int) -> int:
    """Add a file; return its number of bytes of text."""
    size_bytes = path.lstat().st_size
    if size_bytes <= min(TEXT_BYTES, left_bytes):
        data = _data_of(path)
        text = _text_in(data)
        if text is not None:
            content.texts[name] = text
            return size_bytes
        if wide := _utf16_in(data):
            content.utf16[name] = wide
    content.others[name] = size_bytes
    return 0


def _data_of(path: Path) -> bytes:
    """Return a small file's content; a byte that no text has if it cannot be read as one."""
    try:
        return read_file(path, TEXT_BYTES, follow=False)
    except (FileNotFoundError, UntrustedError):
        return b"\0"


def _text_in(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _utf16_in(data: bytes) -> str | None:
    try:
        return data.decode("utf-16") if data.startswith(_UTF16) else None
    except UnicodeDecodeError:
        return None
