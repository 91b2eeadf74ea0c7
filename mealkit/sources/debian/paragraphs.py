"""Reads Debian control paragraphs: ``Field: value`` lines, continued by indented ones.

It reads the format that apt writes. Raises ValueError for any other line, and for a field that
occurs twice in a paragraph.
"""

import re
from collections.abc import Iterator

_SIZE = re.compile(r"[0-9]{1,15}", re.ASCII)


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Yield every paragraph as field → value, with field names in lower case.

    A value with several lines keeps its line breaks. Format: deb822(5); comment lines start with
    ``#``.

    Raises:
        ValueError: a line is neither a field, a continuation, a comment nor empty; or a
            field occurs twice.
    """
    fields: dict[str, list[str]] = {}
    last: list[str] = []
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        if line.strip():
            last = _add(line, fields, last)
        else:
            if fields:
                yield _joined(fields)
            fields, last = {}, []
    if fields:
        yield _joined(fields)


def size_in_bytes(text: str) -> int:
    """Read a size, which consists of decimal digits only.

    Raises:
        ValueError: the text has another form.
    """
    if not _SIZE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a size")
    return int(text)


def _add(line: str, fields: dict[str, list[str]], last: list[str]) -> list[str]:
    """Add a line to the fields; return the lines of the field that the next line may continue."""
    if line[0] in " \t":
        if not last:
            raise ValueError(f"{line.strip()[:80]!r} continues no field")
        last.append(line.strip())
        return last
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"{line[:80]!r} is not a field")
    name = name.strip().lower()
    if name in fields:
        raise ValueError(f"the field {name[:80]!r} occurs twice")
    fields[name] = [value.strip()]
    return fields[name]


def _joined(fields: dict[str, list[str]]) -> dict[str, str]:
    return {name: "\n".join(lines) for name, lines in fields.items()}
