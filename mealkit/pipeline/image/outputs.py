"""Delivers a built image to Docker, a layout, an archive or a registry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from mealkit.errors import failure
from mealkit.oci.descriptor import Descriptor
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
from mealkit.units import show_size

if TYPE_CHECKING:
    from mealkit.pipeline.image.uploading import Uploaded
    from mealkit.stores.registry.companions import ArtifactSource, Companion

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
    sign: Callable[[Descriptor], object] | None = None
    """Signs the image in the local store; called before it is delivered."""

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
            sign=self.sign,
        )


@dataclass(frozen=True, slots=True)
class Places:
    """The parsed places to deliver a built image to."""

    load: bool
    output: tuple[LayoutFolder | ArchiveFile, ...]
    push: tuple[RegistryReference, ...]
    sign: Callable[[Descriptor], object] | None = None


def deliver(  # noqa: PLR0913  the content, where it goes, and what goes with it
    content: Image | ImageIndex,
    name: str,
    places: Places,
    mount_from: Sequence[str],
    progress: Progress,
    *,
    attached: "ArtifactSource | None" = None,
    replaces: bool = False,
    uploads: Path | None = None,
) -> tuple[str, ...]:
    """Deliver the image or index to every place; return a line for each.

    Docker gets the image for this machine.
    ``mount_from`` are repositories in a registry that may already have some of the layers.
    What ``attached`` has about the image is pushed with it. Without ``replaces``, a version that
    a registry has is not given to other bytes. ``uploads`` is the home's folder of unfinished
    uploads.

    Raises:
        MealkitError: delivering to one of the places fails.
    """
    if places.sign is not None:
        places.sign(content.descriptor)
    lines = [_write(content, name, place, progress) for place in places.output]
    if places.load:
        lines.append(_load(_own(content), name, progress))
    companions = _companions(content, attached) if attached and places.push else ()
    for target in places.push:
        lines.append(
            _push(
                content,
                target,
                mount_from,
                progress,
                companions,
                replaces=replaces,
                uploads=uploads,
            )
        )
        # What was just pushed can be mounted, if the next place is in the same registry.
        mount_from = (*mount_from, target.reference.repository)
    return tuple(lines)


def _companions(content: Image | ImageIndex, attached: "ArtifactSource") -> "tuple[Companion, ...]":
    from mealkit.stores.registry.companions import stored_companions

    return stored_companions(attached, [item.descriptor.digest for item in with_parts(content)])


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


def _push(  # noqa: PLR0913  as deliver
    content: Image | ImageIndex,
    target: RegistryReference,
    mount_from: Sequence[str],
    progress: Progress,
    companions: "Sequence[Companion]",
    *,
    replaces: bool,
    uploads: Path | None,
) -> str:
    from mealkit.pipeline.image.uploading import upload
    from mealkit.stores.registry.reaching import Registries

    with Registries.from_environment(uploads=uploads) as registries:
        done = upload(
            content,
            target.reference,
            registries,
            progress,
            companions=companions,
            mount_from=mount_from,
            replaces=replaces,
        )
    return uploaded_line(done, target.text)


def uploaded_line(done: "Uploaded", text: str) -> str:
    """Return the line that says what was pushed where."""
    also = f", with {len(done.companions)} artifacts about it" if done.companions else ""
    moved = f"; before, the tag named {done.moved_from}" if done.moved_from else ""
    return f"pushed to {text}@{done.digest} ({show_size(done.sent_bytes)} sent){also}{moved}"


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
