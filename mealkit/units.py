"""Parses and formats sizes with a unit, such as ``16GiB``. Imports only the standard library."""

import re

_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
# No file and no memory is larger, and a float has a place for it.
_MOST_BYTES = 2**63


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as ``16GiB`` or ``1.5 TB``.

    Raises:
        ValueError: the text is not a number with one of the units, or the size is too large.
    """
    if not re.fullmatch(SIZE_PATTERN, text):
        raise ValueError(f"{text!r} is not a size: write a number and one of {', '.join(_UNITS)}")
    number = re.match(r"[0-9.]+", text)
    assert number is not None  # noqa: S101  the pattern above begins with it
    size = float(number[0]) * _UNITS[text[number.end() :].strip()]
    if size >= _MOST_BYTES:
        raise ValueError(f"{text[:40]!r} is too large for a size")
    return round(size)


def show_size(size_bytes: int) -> str:
    """Return bytes as text for people, in binary units: ``1.5 GiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
