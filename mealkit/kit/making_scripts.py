"""Finds the script of a kit that makes a missing file, so that a problem can name its command.

Reads the scripts as text and never runs them. A kit can name its script in ``runtime.prepare``.
Otherwise a script is taken to make a file if it names the file, or the folder that the file is in.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.document import Document
from mealkit.kit.preparation import prepare_command, prepare_script
from mealkit.untrusted import UntrustedError, read_file

_MOST_BYTES = 64 * 1024
_MOST_SCRIPTS = 20
_INTERPRETERS = {".sh": "bash", ".py": "python3"}


def making_command(document: Document, names: Sequence[str]) -> str | None:
    """Return the command of a kit's script that makes one of these files; None without one.

    The script that ``runtime.prepare`` names makes all of them. ``names`` are paths in the kit's
    folder, or names of what is made, the best one first.
    """
    stated = prepare_script(document)
    if stated is not None:
        return prepare_command(stated)
    scripts = list(_scripts(Path(document.name).parent))
    for word in _words(names):
        named = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        for path, text in scripts:
            if named.search(text):
                return f"{_INTERPRETERS[path.suffix]} {shlex.quote(str(path))}"
    return None


def made_by(document: Document, name: str) -> str | None:
    """Return a hint with the command that makes a file or folder of a kit; None without one."""
    command = making_command(document, [name])
    return command and f"make it: {command}"


def _words(names: Sequence[str]) -> Iterator[str]:
    """Yield what a script may call a file: its path, its name, then its folder."""
    paths = [PurePosixPath(name) for name in names]
    yield from (str(path) for path in paths)
    yield from (path.name for path in paths)
    yield from (path.parts[0] for path in paths if len(path.parts) > 1)


def _scripts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the scripts in a kit's folder, and in the folders in it, with their texts."""
    bounds = Bounds.of(folder, ())
    found = sorted(
        path
        for pattern in ("*.sh", "*/*.sh", "*.py", "*/*.py")
        for path in folder.glob(pattern)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    for path in sorted(found, key=lambda path: path.suffix != ".sh")[:_MOST_SCRIPTS]:
        try:
            with bounds.opened(path) as held:
                data = read_file(held, _MOST_BYTES)
        except (OSError, OutsideError, UntrustedError):
            continue
        # A module of the kit's code also names files; it makes them only if it can be run.
        text = data.decode(errors="replace")
        if path.suffix == ".sh" or "__main__" in text or text.startswith("#!"):
            yield path, text
