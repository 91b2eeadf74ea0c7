"""The lock inside an image: read from its kit layer, a few KB, wherever the image is."""

import io
import tarfile

from mealkit.build.lean import LAYER_KIND
from mealkit.errors import failure
from mealkit.lock.model import LOCK_NAME, Lock, read_lock
from mealkit.oci.image import Image
from mealkit.plan.layout import SETTINGS
from mealkit.plan.model import LayerKind

# Locks and prompts are text; a kit layer beyond this is not one.
_MOST_BYTES = 64 * 1024 * 1024


def lock_of(image: Image) -> Lock:
    """Return the lock that an image carries.

    Raises:
        StoreError: the image is not a kit's (``IMAGE_INVALID``).
        LockError: its lock cannot be read (``LOCK_INVALID``).
    """
    layer = next(
        (
            item
            for item in reversed(image.layers)
            if item.annotations.get(LAYER_KIND) == LayerKind.KIT
        ),
        None,
    )
    if layer is None or layer.blob.size_bytes > _MOST_BYTES:
        raise failure(
            "IMAGE_INVALID",
            f"{image.digest} is not an image that mealkit built: it has no kit layer",
            hint="mealkit run takes kits; start other images with their own tools",
        )
    data = b"".join(bytes(chunk) for chunk in layer.blob.chunks())
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found = archive.extractfile(f"{SETTINGS}/{LOCK_NAME}")
            content = found.read() if found else b""
    except (tarfile.TarError, KeyError) as error:
        raise failure("IMAGE_INVALID", f"the kit layer of {image.digest} holds no lock") from error
    return read_lock(content, f"{image.digest.short}/{LOCK_NAME}")
