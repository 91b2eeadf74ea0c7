"""Read Debian control paragraphs: ``Field: value`` lines, continued by indented ones.

Reads what apt writes and nothing cleverer; a line that is none of these is refused.
"""

from collections.abc import Iterator


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Yield every paragraph as field → value, with field names in lower case.

    A continued value keeps its line breaks. Format: deb822(5); comment lines start with ``#``.

    Raises:
        ValueError: a line is neither a field, a continuation, a comment nor empty.
    """
    fields: dict[str, str] = {}
    last = ""
    for line in filter(_is_no_comment, text.splitlines()):
        if line.strip():
            last = _add(line, fields, last)
        else:
            if fields:
                yield fields
            fields, last = {}, ""
    if fields:
        yield fields


def _is_no_comment(line: str) -> bool:
    return not line.startswith("#")


def _add(line: str, fields: dict[str, str], last: str) -> str:
    """Put a line into the fields; return the name of the field that the next may continue."""
    if line[0] in " \t":
        if not last:
            raise ValueError(f"{line.strip()!r} continues nothing")
        fields[last] += "\n" + line.strip()
        return last
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"{line!r} is not a field")
    name = name.strip().lower()
    fields[name] = value.strip()
    return name
