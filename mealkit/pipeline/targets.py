"""Opens an image wherever it is: in the local store, an OCI layout, an archive, or a registry.

Refuses references that lead nowhere. A registry is left when the image is closed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.errors import MealkitError
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.stores.local import LocalStore

_LAYOUT, _ARCHIVE = "oci:", "oci-archive:"


def names_path(text: str) -> bool:
    """Tell whether a reference names a layout or an archive on this machine."""
    return text.startswith((_LAYOUT, _ARCHIVE))


@contextmanager
def open_image(target: str, home: Home) -> Iterator[Image]:
    """Open an image of the local store, or else whatever the target names.

    Its layers can be read while it is open.

    Raises:
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    if Path(target).is_file():
        target = f"{_ARCHIVE}{target}"
    if not names_path(target):
        try:
            stored = LocalStore(home.store).image(target)
        except MealkitError as error:
            is_elsewhere = Reference.parse(target).registry is not None
            if error.problems[0].code != "IMAGE_NOT_FOUND" or not is_elsewhere:
                raise
        else:
            yield stored
            return
    with open_elsewhere(target, Path()) as image:
        yield image


@contextmanager
def open_elsewhere(text: str, folder: Path, platform: Platform | None = None) -> Iterator[Image]:
    """Open ``oci:DIR``, ``oci-archive:FILE`` or a registry's reference.

    Paths are relative to ``folder``; ``platform`` chooses from an index.

    Raises:
        StoreError, RegistryError: there is no such image, or it cannot be read.
    """
    if text.startswith(_LAYOUT):
        from mealkit.stores.layout import read_layout

        yield read_layout(folder / text.removeprefix(_LAYOUT), platform=platform)
    elif text.startswith(_ARCHIVE):
        from mealkit.stores.archive import read_archive

        yield read_archive(folder / text.removeprefix(_ARCHIVE), platform=platform)
    else:
        from mealkit.stores.registry.pull import RemoteImages
        from mealkit.stores.registry.reaching import Registries

        with Registries.from_environment() as registries:
            yield RemoteImages(registries).image(Reference.parse(text), platform)
