"""Delivers a built image to Docker, a layout, an archive or a registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from mealkit.errors import failure
from mealkit.oci.image import Image, with_parts
from mealkit.oci.index import ImageIndex
from mealkit.pipeline.opening_images import this_platform
from mealkit.pipeline.targets import (
    ArchiveFile,
    LayoutFolder,
    RegistryReference,
    output_named,
    registry_named,
)
from mealkit.progress import Progress

# The label with the name and version of an image's kit.
_KIT = "dev.mealkit.kit"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The options: load into Docker, write to ``oci:DIR`` or ``oci-archive:FILE``, push.

    An image can be written and pushed to several places.
    """

    load: bool = False
    output: Sequence[str] = ()
    push: Sequence[str] = ()

    def places(self) -> "Places":
        """Parse the options, before anything is built.

        Raises:
            KitError: an image cannot be written there (``TARGET_UNFIT``).
            StoreError: the reference is not valid (``REFERENCE_INVALID``).
        """
        return Places(
            load=self.load,
            output=tuple(output_named(text) for text in dict.fromkeys(self.output)),
            push=tuple(registry_named(text) for text in dict.fromkeys(self.push)),
        )


@dataclass(frozen=True, slots=True)
class Places:
    """The parsed places to deliver a built image to."""

    load: bool
    output: tuple[LayoutFolder | ArchiveFile, ...]
    push: tuple[RegistryReference, ...]


def deliver(
    content: Image | ImageIndex,
    name: str,
    places: Places,
    mount_from: Sequence[str],
    progress: Progress,
) -> tuple[str, ...]:
    """Deliver the image or index to every place; return a line for each.

    Docker gets the image for this machine.
    ``mount_from`` are repositories in a registry that may already have some of the layers.

    Raises:
        MealkitError: delivering to one of the places fails.
    """
    lines = [_write(content, name, place, progress) for place in places.output]
    if places.load:
        lines.append(_load(_own(content), name, progress))
    for target in places.push:
        lines.append(_push(content, target, mount_from, progress))
        # What was just pushed can be mounted, if the next place is in the same registry.
        mount_from = (*mount_from, target.reference.repository)
    return tuple(lines)


def _write(
    content: Image | ImageIndex, name: str, place: LayoutFolder | ArchiveFile, progress: Progress
) -> str:
    task = progress.task(f"writing {place.text}", _size(content))
    match place:
        case LayoutFolder():
            from mealkit.stores.layout import write_layout

            write_layout(content, place.path, name, task.advance)
        case ArchiveFile():
            from mealkit.stores.archive import write_archive

            write_archive(content, place.path, name, task.advance)
        case _:
            assert_never(place)
    task.done()
    return f"written to {place.text}"


def _load(image: Image, name: str, progress: Progress) -> str:
    from mealkit.containers.docker import DockerClient
    from mealkit.stores.docker_load import holder_of, load

    with DockerClient().connected("load the image") as sdk:
        before = holder_of(name, image, sdk)
        if before and before.labels.get(_KIT) != name:
            raise failure(
                "CLIENT_REFUSED",
                f"in docker, {name} is {before.image_id}, which is not an image of this kit",
                hint=f"if it is not needed: docker rmi {name}; else give the kit another name",
            )
        task = progress.task("loading into docker", _size(image))
        report = load(image, [name], sdk, task.advance)
        task.done()
    moved = f"; before, the name belonged to {before.image_id}" if before else ""
    return f"loaded into docker as {name} ({report.reused_layers} layers already present){moved}"


def _push(
    content: Image | ImageIndex,
    target: RegistryReference,
    mount_from: Sequence[str],
    progress: Progress,
) -> str:
    from mealkit.stores.registry.push import push
    from mealkit.stores.registry.reaching import Registries

    task = progress.task(f"pushing to {target.text}", _size(content))
    with Registries.from_environment() as registries:
        report = push(
            content, target.reference, registries, mount_from=mount_from, advance=task.advance
        )
    task.done()
    return f"pushed to {target.text}@{report.digest} ({report.sent_bytes} bytes sent)"


def _own(content: Image | ImageIndex) -> Image:
    """Return the image for this machine."""
    if not isinstance(content, ImageIndex):
        return content
    here = this_platform()
    for image in content.images:
        if image.platform == here:
            return image
    raise failure("IMAGE_NOT_FOUND", f"{content.digest} has no image for {here}")


def _size(content: Image | ImageIndex) -> int:
    return sum(blob.size_bytes for item in with_parts(content) for blob in item.blobs[:-1])
