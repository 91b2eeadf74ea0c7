"""Names and paths that others wrote: the characters they may have, and where a path may lead.

Refuses characters that cannot be seen and change what is: controls, line separators, directions of
writing (Unicode's ``Bidi_Control``), tags, and halves of surrogate pairs. Refuses paths that leave
their folder, however they are spelt. Runs in the image too: it may import the standard library
alone.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mealkit.untrusted import UntrustedError, shown

MAX_PART_BYTES = 255
"""The longest name of a file: https://man7.org/linux/man-pages/man3/NAME_MAX.3const.html."""
MAX_PATH_BYTES = 1024
"""The longest path below a folder: a quarter of what Linux takes, so that the folder fits too."""

_LINES = "\n\t"
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line separators, byte order mark, annotations
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"  # halves of pairs, non-characters, tags
)


def hidden_character(text: str, allowed: str = "") -> str | None:
    """Return the first character of a text that no name may have, or None."""
    return next((found[0] for found in _HIDDEN.finditer(text) if found[0] not in allowed), None)


def line_fault(text: str) -> str | None:
    """Say why a text is not one line of characters that can be seen; None: it is."""
    found = hidden_character(text)
    if found is None:
        return None
    if found in "\n\r":
        return "it has a line break: write it on one line"
    return f"it has the character U+{ord(found):04X}, which cannot be seen: delete it"


def lines_fault(text: str) -> str | None:
    """Say why a text may not stand as lines of characters that can be seen; None: it may."""
    found = hidden_character(text, _LINES)
    if found is None:
        return None
    return f"it has the character U+{ord(found):04X}, which cannot be seen: delete it"


def path_fault(path: str) -> str | None:
    """Say why a text is not the path of something below a folder, in its one spelling.

    The parts are joined by single slashes, and none is ``.`` or ``..``.
    """
    fault = loose_path_fault(path)
    if fault is None and any(part in {"", "."} for part in path.split("/")):
        return "it has a part that is empty or a dot"
    return fault


def loose_path_fault(path: str) -> str | None:
    """Say why a text is not a path below a folder; parts that mean nothing (``./``) may be."""
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

    One is below the other, or both have the same characters in Unicode's composed form (NFC).
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
    """Return where a path below a folder is; the folder's own links are not looked at.

    Raises:
        UntrustedError: the path is not one; see `path_fault`.
    """
    fault = path_fault(path)
    if fault is not None:
        raise UntrustedError(f"the path {shown(path)}: {fault}")
    return folder / path


def one_line(text: str) -> str:
    """Return a text on one line, with a space for every character that may not be seen."""
    return _HIDDEN.sub(" ", text)
