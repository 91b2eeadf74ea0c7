"""Names the first file in which two layers differ.

Both are read once, side by side; only names are in memory. Raises UntrustedError for a layer that
is not a tar.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mealkit.digest import Digest
from mealkit.oci.compression import max_unpacked_bytes, unpacked
from mealkit.oci.image import Layer
from mealkit.oci.tar_source import StreamSource
from mealkit.oci.untar import TarMember, TarStream
from mealkit.untrusted import shown

_MAX_ENTRIES = 1_000_000
# The fields of an entry, with their names for people.
_FIELDS = {
    "kind": "kind",
    "mode": "mode",
    "uid": "owner",
    "gid": "group",
    "mtime_seconds": "time",
    "target": "link target",
    "size_bytes": "size",
}


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """The first difference: a file, or None if all files are equal, and what differs."""

    path: str | None
    what: str
    """Such as ``content``, ``mode`` or ``order``."""
    expected: str
    found: str

    def __str__(self) -> str:
        """Return one sentence for a message."""
        if self.path is None:
            return self.what
        return f"{self.path}: {self.what}: expected {self.expected}, found {self.found}"


def first_difference(expected: Layer, found: Layer) -> LayerDifference | None:
    """Return the first difference between two layers; None if they have the same bytes.

    Raises:
        UntrustedError: a layer is not a tar that mealkit reads.
        StoreError, RegistryError: its bytes cannot be read.
    """
    if expected.diff_id == found.diff_id:
        return None
    ours, theirs = _Entries(expected), _Entries(found)
    for one in ours.members:
        other = next(theirs.members, None)
        if other is None or _path(one) != _path(other):
            return _elsewhere(one, other, ours, theirs)
        if changed := _fields(one, other):
            return changed
        digests = ours.digest(), theirs.digest()
        if digests[0] != digests[1]:
            return LayerDifference(_name(one), "content", *digests)
    extra = next(theirs.members, None)
    if extra is not None:
        return LayerDifference(_name(extra), "presence", "no such file", "a file")
    what = "all files are equal, but the bytes around them differ: headers, padding or compression"
    return LayerDifference(None, what, expected.diff_id, found.diff_id)


class _Entries:
    """The entries of a layer; the data of the last one can be hashed."""

    def __init__(self, layer: Layer) -> None:
        limit = max_unpacked_bytes(layer.media_type, layer.blob.size_bytes)
        chunks = unpacked(layer.media_type, layer.blob.chunks(), limit)
        self._stream = TarStream(StreamSource(iter(chunks)), max_entries=_MAX_ENTRIES)
        self.members: Iterator[TarMember] = self._stream.members()

    def digest(self) -> Digest:
        """Return the digest of the data of the last entry."""
        state = hashlib.sha256()
        for piece in self._stream.data():
            state.update(piece)
        return Digest.from_hex(state.hexdigest())


def _fields(one: TarMember, other: TarMember) -> LayerDifference | None:
    for name, title in _FIELDS.items():
        ours, theirs = getattr(one, name), getattr(other, name)
        if ours != theirs:
            return LayerDifference(_name(one), title, _text(name, ours), _text(name, theirs))
    return None


def _elsewhere(
    one: TarMember, other: TarMember | None, ours: _Entries, theirs: _Entries
) -> LayerDifference:
    """Return why the names at one place differ: a file is missing, extra, or elsewhere."""
    later = {_path(item) for item in theirs.members}
    if _path(one) not in later:
        return LayerDifference(_name(one), "presence", "a file", "no such file")
    if other is not None and _path(other) not in set(map(_path, ours.members)):
        return LayerDifference(_name(other), "presence", "no such file", "a file")
    return LayerDifference(_name(one), "order", "here", f"later, after {other and _name(other)}")


def _path(member: TarMember) -> bytes:
    """Return a path without the slash that writers add to folders."""
    return member.path.rstrip(b"/")


def _name(member: TarMember) -> str:
    """Return a path for a message: quoted only if it has unusual characters."""
    text = _path(member).decode(errors="backslashreplace")
    quoted = shown(text, len(text))
    return text if quoted == f"'{text}'" else quoted


def _text(name: str, value: Any) -> str:
    match name:
        case "mode":
            return f"{value:04o}"
        case "kind":
            return str(value.value)
        case "target":
            return repr(value.decode(errors="backslashreplace"))
        case _:
            return str(value)
