"""Lists the files of an image: its layers applied on one another, each file with its digest.

Raises UntrustedError for a layer that is not a tar.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from mealkit.digest import Digest
from mealkit.oci.compression import max_unpacked_bytes, unpacked
from mealkit.oci.image import Layer
from mealkit.oci.tar_source import Bytes, StreamSource
from mealkit.oci.untar import Kind, TarMember, TarStream, parts_of
from mealkit.progress import Advance, silent

_MAX_ENTRIES = 1_000_000
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file, a folder or a link: the digest of a file's bytes, or the target of a link."""

    kind: Kind
    digest: Digest | None = None
    target: bytes = b""


def listed_files(layers: Iterable[Layer], advance: Advance = silent) -> dict[bytes, ListedFile]:
    """Return what an image's layers give together, by path without a leading slash.

    A hard link is listed as the file that it names.

    Raises:
        UntrustedError: a layer is not a tar that mealkit reads.
        StoreError, RegistryError: its bytes cannot be read.
    """
    found: dict[bytes, ListedFile] = {}
    for layer in layers:
        limit = max_unpacked_bytes(layer.media_type, layer.blob.size_bytes)
        chunks = unpacked(layer.media_type, layer.blob.chunks(), limit)
        stream = TarStream(StreamSource(iter(chunks)), max_entries=_MAX_ENTRIES)
        own: dict[bytes, ListedFile] = {}
        for member in stream.members():
            path = b"/".join(parts_of(member.path))
            above, _, name = path.rpartition(b"/")
            if name == _OPAQUE:
                _hide(found, above + b"/" if above else b"")
            elif name.startswith(_WHITEOUT):
                hidden = b"/".join(filter(None, (above, name.removeprefix(_WHITEOUT))))
                found.pop(hidden, None)
                _hide(found, hidden + b"/")
            elif path:
                own[path] = _listed(member, stream, own, found)
        found |= own
        advance(layer.blob.size_bytes)
    return found


def digest_of_chunks(chunks: Iterable[Bytes]) -> Digest:
    """Return the digest of a file's bytes."""
    state = hashlib.sha256()
    for piece in chunks:
        state.update(piece)
    return Digest.from_hex(state.hexdigest())


def _listed(member: TarMember, stream: TarStream, *before: dict[bytes, ListedFile]) -> ListedFile:
    match member.kind:
        case Kind.FILE:
            return ListedFile(Kind.FILE, digest_of_chunks(stream.data()))
        case Kind.SYMLINK:
            return ListedFile(Kind.SYMLINK, target=member.target)
        case Kind.HARDLINK:
            aim = b"/".join(parts_of(member.target))
            known = (files[aim] for files in before if aim in files)
            return next(known, ListedFile(Kind.HARDLINK, target=aim))
        case Kind.DIRECTORY | Kind.SPECIAL:
            return ListedFile(member.kind)


def _hide(found: dict[bytes, ListedFile], prefix: bytes) -> None:
    for path in [path for path in found if path.startswith(prefix)]:
        del found[path]
