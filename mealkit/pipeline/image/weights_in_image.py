"""Finds files of the model in an image's layers of weights, wherever the image is.

Only their headers are read; a file's bytes are read when they are needed. Layers that another tool
has compressed are left out: a file in them has no place of its own.
"""

from collections.abc import Iterable, Iterator

from mealkit.assembly.lean import layer_kind
from mealkit.errors import failure
from mealkit.oci.compression import PLAIN_TYPES
from mealkit.oci.image import Image, Layer
from mealkit.oci.layer_files import FileInLayer, places_in
from mealkit.paths import MODELS
from mealkit.plan.layers import LayerKind
from mealkit.recipe.locked_file import LockedFile
from mealkit.untrusted import UntrustedError


def weights_in_image(image: Image, files: Iterable[LockedFile]) -> dict[str, FileInLayer]:
    """Return those of the model's files that an image has, by their path below /models.

    Raises:
        StoreError: a layer cannot be read (``IMAGE_INVALID``).
    """
    wanted = {f"{MODELS}/{file.path}": file for file in files}
    found: dict[str, FileInLayer] = {}
    for layer, path, offset, size_bytes in _places(image):
        file = wanted.get(path)
        if file is not None and file.size_bytes == size_bytes:
            found[file.path] = FileInLayer(file.sha256, size_bytes, layer.blob, offset)
    return found


def _places(image: Image) -> Iterator[tuple[Layer, str, int, int]]:
    for layer in image.layers:
        if layer_kind(layer) != LayerKind.WEIGHTS or layer.media_type not in PLAIN_TYPES:
            continue
        try:
            for path, offset, size_bytes in places_in(layer.blob):
                yield layer, path.decode(errors="replace"), offset, size_bytes
        except UntrustedError as error:
            message = f"layer {layer.blob.digest.short} of {image.digest} cannot be read: {error}"
            raise failure("IMAGE_INVALID", message) from error
