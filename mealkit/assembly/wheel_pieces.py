"""Takes the files of a wheel, and their bytecode, from a stored layer that has them already.

A wheel that was unpacked and compiled once is a *piece* of the layer that was made of it: a record
says at which offset of that layer each file is. The next layer with the same wheel copies these
ranges instead of unpacking and compiling again. A file is compared with the digest in its wheel's
RECORD, and bytecode with the digest that it had when it was compiled, each time they are used.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from mealkit.assembly.wheel_tree import WheelMember
from mealkit.digest import Digest, canonical_json
from mealkit.oci.tar import Bytes, Content, TarFile
from mealkit.oci.wheel_piece import PieceCode, WheelPiece
from mealkit.plan.layers import Bytecode


@dataclass(frozen=True, slots=True)
class KnownCode:
    """Bytecode that need not be compiled; None for a module that does not compile."""

    entry: TarFile | None


class PieceDamagedError(Exception):
    """The bytes of a piece are not those that its record promises; the record was deleted."""


class PieceStore(Protocol):
    """Keeps the records of pieces, and reads the layers that have them."""

    def find(self, key: str) -> WheelPiece | None:
        """Return the piece with a key, if its layer is still there."""
        ...

    def keep(self, key: str, piece: WheelPiece) -> None:
        """Keep a piece; a disk without space for its record is no problem."""
        ...

    def drop(self, key: str) -> None:
        """Delete the record of a piece."""
        ...

    def read(self, blob: Digest, offset: int, length: int) -> Iterable[Bytes]:
        """Yield bytes of a layer; fewer if they cannot be read."""
        ...


class NoPieces:
    """Knows no pieces, and keeps none."""

    def find(self, key: str) -> WheelPiece | None:  # noqa: ARG002
        """Return None."""
        return None

    def keep(self, key: str, piece: WheelPiece) -> None:
        """Do nothing."""

    def drop(self, key: str) -> None:
        """Do nothing."""

    def read(self, blob: Digest, offset: int, length: int) -> Iterable[Bytes]:  # noqa: ARG002
        """Return no bytes."""
        return ()


NO_PIECES = NoPieces()


class Renewed(NoPieces):
    """Knows no pieces, so that all are made again, and keeps them in a store."""

    def __init__(self, store: PieceStore) -> None:
        self._store = store

    def keep(self, key: str, piece: WheelPiece) -> None:
        """Keep a piece in the store."""
        self._store.keep(key, piece)


@dataclass(slots=True)
class _Origin:
    """A wheel of the layer that is made: its piece so far, and what its piece will have."""

    known: WheelPiece | None
    files: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Bytecode of the layer that is made: where it goes, its digest and its size."""

    place: str
    digest: Digest
    size_bytes: int


class LayerPieces:
    """The pieces of one layer while it is made: those that are known, and those that it will have.

    ``compiler`` is what the layer's bytecode depends on apart from the modules.
    """

    def __init__(self, store: PieceStore, layer_format: str, compiler: Bytecode | None) -> None:
        self._store = store
        debs = None if compiler is None else [compiler.python, *compiler.debs]
        self._compiler = canonical_json([layer_format, debs]).decode()
        self._origins: dict[str, _Origin] = {}
        self._key_of: dict[str, str] = {}
        self._compiled: dict[str, _Compiled | None] = {}

    def content(self, wheel: Digest, folder: str, member: WheelMember) -> Content:
        """Return a member's bytes: from a layer if they are there, else from the wheel."""
        key = Digest.of(canonical_json([self._compiler, wheel, folder])).hex
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = _Origin(self._store.find(key))
        path = f"{folder}/{member.path}"
        self._key_of[path] = key
        origin.files.append(path)
        expected = _stated(member)
        offset = origin.known.files.get(path) if origin.known else None
        if origin.known is None or offset is None or expected is None:
            return member.chunks
        blob, size_bytes = origin.known.blob, member.size_bytes
        return partial(self._checked, key, blob, offset, size_bytes, expected)

    def code(self, module: str, place: str) -> KnownCode | None:
        """Return a module's bytecode, which goes to ``place``; None if it has to be compiled."""
        key = self._key_of.get(module)
        known = self._origins[key].known if key else None
        if key is None or known is None or module not in known.code:
            return None
        found = known.code[module]
        if found is None:
            self.compiled(module, place, None)
            return KnownCode(None)
        digest, size_bytes = found.digest, found.size_bytes
        self.compiled(module, place, (digest, size_bytes))
        read = partial(self._checked, key, known.blob, found.offset, size_bytes, digest.hex)
        return KnownCode(TarFile(place, size_bytes, read))

    def compiled(self, module: str, place: str, code: tuple[Digest, int] | None) -> None:
        """Note the bytecode of a module; None if it does not compile."""
        key = self._key_of.get(module)
        if key is not None:
            self._origins[key].modules.append(module)
            self._compiled[module] = None if code is None else _Compiled(place, *code)

    def keep(self, blob: Digest, offsets: Mapping[str, int]) -> None:
        """Keep the pieces of the layer, which was written with its files at these offsets."""
        for key, origin in self._origins.items():
            files = {path: offsets[path] for path in origin.files}
            code = {module: self._placed(module, offsets) for module in origin.modules}
            self._store.keep(key, WheelPiece(blob, files, code))

    def _placed(self, module: str, offsets: Mapping[str, int]) -> PieceCode | None:
        found = self._compiled[module]
        if found is None:
            return None
        return PieceCode(found.digest, found.size_bytes, offsets[found.place])

    def _checked(
        self, key: str, blob: Digest, offset: int, length: int, expected: str
    ) -> Iterator[Bytes]:
        state = hashlib.sha256()
        for chunk in self._store.read(blob, offset, length):
            state.update(chunk)
            yield chunk
        if state.hexdigest() != expected:
            self._store.drop(key)
            raise PieceDamagedError


def _stated(member: WheelMember) -> str | None:
    """Return the digest in the wheel's RECORD in hex; None if it states none, or no real one."""
    text = member.record_sha256
    if text is None:
        return None
    try:
        found = base64.b64decode(f"{text}=".encode(), altchars=b"-_", validate=True)
    except ValueError:
        return None
    canonical = base64.urlsafe_b64encode(found).rstrip(b"=").decode() == text
    return found.hex() if canonical else None
