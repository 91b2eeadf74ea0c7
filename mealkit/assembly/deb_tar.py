"""Reads the members of a tar in a Debian package, as dpkg does.

Raises UntrustedError for anything that is not a plain tar, names that are not text, duplicate
names, and too many members.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from mealkit.oci.tar_source import FileSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.untrusted import UntrustedError, shown

_MOST_MEMBERS = 150_000
# A member may have a long name and a long target, each with its own header.
_MOST_HEADERS = 3 * _MOST_MEMBERS
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class DebMember:
    """One member of the archive; its bytes start at ``offset``."""

    name: str
    kind: Kind
    mode: int
    size_bytes: int
    offset: int
    target: str


def members(stream: BinaryIO) -> Iterator[DebMember]:
    """Yield the members of a plain tar, from the position of the stream to the end.

    Raises:
        UntrustedError: the tar is damaged, or contains something that is not allowed in a package.
    """
    source = FileSource(stream)
    seen: set[str] = set()
    for entry in TarStream(source, max_entries=_MOST_HEADERS, is_plain=True).members():
        name = _text(entry.path)
        if not name:
            raise UntrustedError("it has a member without a name")
        path = str(PurePosixPath(name))
        if path in seen:
            raise UntrustedError(f"it has {shown(name)} twice")
        if len(seen) == _MOST_MEMBERS:
            raise UntrustedError(f"it has more than {_MOST_MEMBERS} members")
        seen.add(path)
        yield DebMember(
            name, entry.kind, entry.mode, entry.size_bytes, source.position, _text(entry.target)
        )


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UntrustedError(f"a name is not UTF-8: {data[:80]!r}") from None
    if _CONTROL_CHARACTERS.search(text):
        raise UntrustedError(f"a name has control characters: {shown(text)}")
    return text
