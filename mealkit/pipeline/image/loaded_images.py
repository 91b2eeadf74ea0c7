"""Remembers which images this home loaded into container engines, so that they can be removed.

A file for each image, by engine and the engine's id of it; its content is our digest. Without the
file an image is taken for another's.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.whole import write_whole
from mealkit.pipeline.home import Home
from mealkit.stores.blob_folder import HEX_NAME
from mealkit.untrusted import UntrustedError, read_file

if TYPE_CHECKING:
    from mealkit.containers.docker import DockerClient
    from mealkit.stores.engine_images import EngineImage

_MAX_BYTES = 200


@dataclass(frozen=True, slots=True)
class LoadedCopy:
    """An image in an engine that no image of the store needs any more."""

    client: "DockerClient"
    image: "EngineImage"
    record: Path


def note_loaded(client: str, image_id: str, digest: Digest, home: Home) -> None:
    """Remember that an engine got an image, under the engine's id."""
    name = image_id.removeprefix("sha256:")
    if HEX_NAME(name):
        write_whole(home.loaded / client / name, str(digest).encode())


def unneeded_copies(needed: Collection[str], home: Home) -> Iterator[LoadedCopy]:
    """Yield the images that this home loaded into an engine, and whose image is not ``needed``.

    Engines that do not work are skipped. A copy with a name that mealkit did not give, or that a
    container uses, stays.
    """
    from mealkit.containers.docker import DockerClient
    from mealkit.stores.engine_images import unused_image

    for client in (DockerClient(), DockerClient.podman()):
        records = [path for path in _records(home, client.name) if _digest(path) not in needed]
        if not records or client.available() is not None:
            continue
        with suppress(MealkitError), client.connected("look for images") as sdk:
            for path in records:
                found = unused_image(f"sha256:{path.name}", sdk)
                if found is not None:
                    yield LoadedCopy(client, found, path)


def remove_copy(copy: LoadedCopy) -> int:
    """Remove an image from its engine; return its size, or 0 if it stays.

    Raises:
        ContainerError: ``CLIENT_UNAVAILABLE``.
    """
    from mealkit.stores.engine_images import remove_unused

    with copy.client.connected("remove images") as sdk:
        if not remove_unused(copy.image, sdk):
            return 0
    copy.record.unlink(missing_ok=True)
    return copy.image.size_bytes


def _records(home: Home, client: str) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for path in sorted((home.loaded / client).iterdir()):
            if HEX_NAME(path.name):
                yield path


def _digest(path: Path) -> str | None:
    try:
        return read_file(path, _MAX_BYTES).decode("ascii").strip()
    except (OSError, UntrustedError, UnicodeDecodeError):
        return None
