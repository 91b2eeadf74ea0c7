"""The layer cache: the layer that was built from each layer plan, for rebuilds.

A layer whose blob was deleted is not returned.
"""

from collections.abc import Callable
from pathlib import Path

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError
from mealkit.files.whole import write_whole
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Blob, Layer
from mealkit.untrusted import parse_json_object, read_file

# A descriptor with its annotations has a few hundred bytes.
_MAX_ENTRY_BYTES = 1024 * 1024


def delete_unusable(folder: Path, is_usable: Callable[[Path], bool]) -> int:
    """Delete the files of a folder that cannot be used any more; return the freed bytes."""
    freed_bytes = 0
    for path in folder.glob("*"):
        if not is_usable(path):
            freed_bytes += path.stat().st_size
            path.unlink()
    return freed_bytes


class LayerCache:
    """Layers by the key of their plan, one small file each; it may be deleted at any time."""

    def __init__(self, folder: Path, usable: Callable[[Digest, int], Blob | None]) -> None:
        self._folder = folder
        self._usable = usable

    def get(self, key: str) -> Layer | None:
        """Return the stored layer for a key, if its blob can be used."""
        return self._read(self._path(key), key)

    def put(self, key: str, layer: Layer) -> None:
        """Store the layer for a key; its blob must already be in the store."""
        form = {
            "key": key,
            "descriptor": layer.descriptor.as_json(),
            "diffId": layer.diff_id,
            "createdBy": layer.created_by,
        }
        write_whole(self._path(key), canonical_json(form), durable=False)

    def prune(self) -> int:
        """Delete entries that can no longer be used; return the freed bytes."""
        return delete_unusable(self._folder, lambda path: self._read(path, None) is not None)

    def _read(self, path: Path, key: str | None) -> Layer | None:
        try:
            form = parse_json_object(read_file(path, _MAX_ENTRY_BYTES))
            descriptor = Descriptor.from_json(form["descriptor"])
            diff_id, created_by = Digest(form["diffId"]), str(form["createdBy"])
            if key is not None and form["key"] != key:
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, MealkitError):
            return None
        blob = self._usable(descriptor.digest, descriptor.size_bytes)
        if blob is None:
            return None
        return Layer(descriptor.media_type, blob, diff_id, created_by, descriptor.annotations)

    def _path(self, key: str) -> Path:
        return self._folder / f"{Digest.of(key.encode()).hex}.json"
