"""The records of wheels that stored layers have unpacked and compiled: one small file each.

They have no bytes of a wheel. A record whose layer was deleted is not returned.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mealkit.digest import CHUNK_BYTES, Digest, canonical_json, file_chunks
from mealkit.errors import MealkitError
from mealkit.files.whole import write_whole
from mealkit.oci.wheel_piece import WheelPiece
from mealkit.stores.blob_folder import BlobFolder
from mealkit.stores.layercache import delete_unusable
from mealkit.untrusted import parse_json_object, read_file

# torch's 13,000 files need 2 MiB.
_MAX_RECORD_BYTES = 32 * 1024 * 1024
_MAX_VALUES = 1_000_000


class PieceRecords:
    """Records of pieces by key, and the layers in ``blobs``; it may be deleted at any time."""

    def __init__(self, folder: Path, blobs: BlobFolder) -> None:
        self._folder = folder
        self._blobs = blobs

    def find(self, key: str) -> WheelPiece | None:
        """Return the piece with a key, if its layer is still there."""
        return self._read(self._path(key), key)

    def keep(self, key: str, piece: WheelPiece) -> None:
        """Keep a piece; a disk without space for its record is no problem."""
        with contextlib.suppress(MealkitError):
            write_whole(self._path(key), canonical_json(piece.as_json(key)), durable=False)

    def drop(self, key: str) -> None:
        """Delete the record of a piece."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def read(self, blob: Digest, offset: int, length: int) -> Iterator[memoryview]:
        """Yield bytes of a layer; fewer if they cannot be read."""
        path = self._blobs.folder / blob.hex
        with contextlib.suppress(OSError):
            yield from file_chunks(path, offset, length, max(1, min(length, CHUNK_BYTES)))

    def prune(self) -> int:
        """Delete the records whose layer is gone; return the freed bytes."""
        return delete_unusable(self._folder, lambda path: self._read(path, None) is not None)

    def _read(self, path: Path, key: str | None) -> WheelPiece | None:
        try:
            data = read_file(path, _MAX_RECORD_BYTES)
            piece = WheelPiece.from_json(parse_json_object(data, max_values=_MAX_VALUES), key)
            return piece if self._blobs.find(piece.blob) else None
        except (OSError, ValueError, MealkitError):
            return None

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
