"""Checks untrusted names and paths: which characters they contain, and where a path points.

Rejects invisible characters that change how a text looks: controls, line separators, changes of
the writing direction (Unicode's ``Bidi_Control``), tags, and halves of surrogate pairs. Rejects
paths that point outside their folder, however they are spelt. Imports only the standard library,
because it also runs in the image.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mealkit.untrusted import UntrustedError, shown

MAX_PART_BYTES = 255
"""The longest name of a file: https://man7.org/linux/man-pages/man3/NAME_MAX.3const.html."""
MAX_PATH_BYTES = 1024
"""The longest path below a folder: a quarter of Linux's limit, to leave space for the folder."""

_LINES = "\n\t"
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line separators, byte order mark, annotations
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"  # halves of pairs, non-characters, tags
)


def hidden_character(text: str, allowed: str = "") -> str | None:
    """Return the first character of a text that is not allowed in names, or None."""
    return next((found[0] for found in _HIDDEN.finditer(text) if found[0] not in allowed), None)


def reveal(text: str, allowed: str = _LINES) -> str:
    """Return a text in which each hidden character is written as its code, such as ⟨U+202E⟩.

    So a page can show what others wrote: the text cannot change the order of the page's own words,
    and a reader sees the character that makes two texts differ.
    """
    return _HIDDEN.sub(
        lambda found: found[0] if found[0] in allowed else f"\u27e8U+{ord(found[0]):04X}\u27e9",
        text,
    )


def line_fault(text: str) -> str | None:
    """Return the reason why a text is not one line of visible characters; None if it is one."""
    found = hidden_character(text)
    if found is None:
        return None
    if found in "\n\r":
        return "it has a line break: write it on one line"
    return f"it has the invisible character U+{ord(found):04X}: delete it"


def lines_fault(text: str) -> str | None:
    """Return the reason why a text is not lines of visible characters; None if it is."""
    found = hidden_character(text, _LINES)
    if found is None:
        return None
    return f"it has the invisible character U+{ord(found):04X}: delete it"


def path_fault(path: str) -> str | None:
    """Return the reason why a text is not a normalised path below a folder; None if it is one.

    The parts of such a path are separated by single slashes, and none is ``.`` or ``..``.
    """
    fault = loose_path_fault(path)
    if fault is None and any(part in {"", "."} for part in path.split("/")):
        return "it has a part that is empty or a dot"
    return fault


def loose_path_fault(path: str) -> str | None:
    """Return the reason why a text is not a path below a folder; ``./`` and ``//`` are allowed."""
    parts = path.split("/")
    reasons = {
        "it names no file": all(part in {"", "."} for part in parts),
        "it is not a path inside a folder": path.startswith("/") or ".." in parts,
        "it has a backslash": "\\" in path,
    }
    fault = next((reason for reason, holds in reasons.items() if holds), None) or line_fault(path)
    if fault is not None:
        return fault
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"it is longer than {MAX_PATH_BYTES} bytes"
    if any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return f"it has a part longer than {MAX_PART_BYTES} bytes"
    return None


def clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return two paths that cannot both be files of one folder, or that look the same; or None.

    One is below the other, or both are the same text in Unicode's composed form (NFC).
    """
    known: dict[str, str] = {}
    for path in paths:
        plain = unicodedata.normalize("NFC", path)
        if plain in known:
            return known[plain], path
        known[plain] = path
    for plain, path in known.items():
        above = plain
        while (above := above.rpartition("/")[0]) != "":
            if above in known:
                return known[above], path
    return None


def inside(folder: Path, path: str) -> Path:
    """Join a folder and a path below it; does not check the folder's own links.

    Raises:
        UntrustedError: the path is not valid; see `path_fault`.
    """
    fault = path_fault(path)
    if fault is not None:
        raise UntrustedError(f"the path {shown(path)}: {fault}")
    return folder / path


def one_line(text: str) -> str:
    """Return a text on one line, with a space for every character that is not allowed."""
    return _HIDDEN.sub(" ", text)
