"""Recipes of virtual blobs in the local store, a few KB each, independent of the blob's size.

Raises StoreError for a recipe file that cannot be read.
"""

import base64
from pathlib import Path

from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.files.identity import FileKey, path_of, text_of
from mealkit.files.whole import disk_errors, write_whole
from mealkit.stores.blob_folder import HEX_NAME
from mealkit.stores.blobs import VirtualBlob
from mealkit.untrusted import parse_json_object, read_file

# A recipe has a header and a footer of tar, and a path.
_MAX_RECIPE_BYTES = 1024 * 1024


class Recipes:
    """A folder of recipes, named by the digests of their blobs."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "recipes" / "sha256"

    def find(self, digest: Digest) -> VirtualBlob | None:
        """Return the virtual blob; its source is not checked.

        Raises:
            StoreError: ``BLOB_DAMAGED``: the recipe cannot be read.
        """
        path = self._path(digest)
        try:
            form = parse_json_object(read_file(path, _MAX_RECIPE_BYTES))
            return VirtualBlob(
                digest,
                base64.b64decode(form["head"], validate=True),
                path_of(form["source"]),
                FileKey.from_json(form["key"]),
                base64.b64decode(form["tail"], validate=True),
                Digest(form["file"]),
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise failure(
                "BLOB_DAMAGED", f"the recipe of blob {digest} cannot be read", where=str(path)
            ) from error

    def write(self, blob: VirtualBlob) -> None:
        """Store a virtual blob; an existing one is not written again."""
        form = {
            "head": base64.b64encode(blob.head).decode(),
            "source": text_of(blob.source.resolve()),
            "key": blob.key.as_json(),
            "tail": base64.b64encode(blob.tail).decode(),
            "file": blob.file_digest,
        }
        data, path = canonical_json(form), self._path(blob.digest)
        if not path.exists() or path.read_bytes() != data:
            write_whole(path, data)

    def stored_bytes(self, digest: Digest) -> int | None:
        """Return the disk space of the recipe, or None if it is missing."""
        try:
            return self._path(digest).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def digests(self) -> list[Digest]:
        """Return the digests of all virtual blobs, in order."""
        if not self._folder.is_dir():
            return []
        return sorted(
            Digest.from_hex(path.stem) for path in self._folder.iterdir() if HEX_NAME(path.stem)
        )

    def remove(self, digest: Digest) -> int:
        """Delete a recipe; return the freed bytes."""
        freed_bytes = self.stored_bytes(digest) or 0
        with disk_errors(self._folder):
            self._path(digest).unlink()
        return freed_bytes

    def partials(self) -> list[Path]:
        """Return the temporary files of killed and of active writers."""
        return sorted(self._folder.glob(".*.part"))

    def _path(self, digest: Digest) -> Path:
        return self._folder / f"{digest.hex}.json"
