"""The members of a tar inside a Debian package, as dpkg reads them.

Refuses what is more than a plain tar, names that are not text, one name twice, and more members
than a package may have.
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
# A member may have a long name and a long target, each with a header of its own.
_MOST_HEADERS = 3 * _MOST_MEMBERS
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class DebMember:
    """One member of the archive; its bytes begin at ``offset``."""

    name: str
    kind: Kind
    mode: int
    size_bytes: int
    offset: int
    target: str


def members(stream: BinaryIO) -> Iterator[DebMember]:
    """Yield the members of a plain tar, from where the stream is to its end.

    Raises:
        UntrustedError: it is damaged, or has what a package may not have.
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
