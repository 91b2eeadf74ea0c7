"""Where a built image goes besides the local store: Docker, a layout, an archive, a registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import failure
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.listener import Listener

# The label that says of which kit and version an image is.
_KIT = "dev.mealkit.kit"
_LAYOUT, _ARCHIVE = "oci:", "oci-archive:"


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for: load into Docker, write to ``oci:DIR`` or ``oci-archive:FILE``, push."""

    load: bool = False
    output: str | None = None
    push: str | None = None


def deliver(
    image: Image, name: str, outputs: Outputs, mount_from: Sequence[str], listener: Listener
) -> tuple[str, ...]:
    """Send a stored image where it was asked for; return a line for each place.

    ``mount_from`` are repositories of a registry that may hold some of its layers already.

    Raises:
        MealkitError: a place refuses.
    """
    lines: list[str] = []
    if outputs.output:
        lines.append(_write(image, name, outputs.output, listener))
    if outputs.load:
        lines.append(_load(image, name, listener))
    if outputs.push:
        lines.append(_push(image, outputs.push, mount_from, listener))
    return tuple(lines)


def _write(image: Image, name: str, output: str, listener: Listener) -> str:
    task = listener.task(f"writing {output}", _size(image))
    if output.startswith(_LAYOUT):
        from mealkit.stores.layout import write_layout

        write_layout(image, Path(output.removeprefix(_LAYOUT)), name, task.advance)
    elif output.startswith(_ARCHIVE):
        from mealkit.stores.archive import write_archive

        write_archive(image, Path(output.removeprefix(_ARCHIVE)), name, task.advance)
    else:
        raise failure("USAGE", f"{output!r} is neither oci:DIRECTORY nor oci-archive:FILE")
    task.done()
    return f"written to {output}"


def _load(image: Image, name: str, listener: Listener) -> str:
    from mealkit.containers.docker import DockerClient
    from mealkit.stores.docker_load import holder_of, load

    with DockerClient().connected("load the image") as sdk:
        before = holder_of(name, image, sdk)
        if before and before.labels.get(_KIT) != name:
            raise failure(
                "CLIENT_REFUSED",
                f"docker's {name} is {before.image_id}, which is not an image of this kit",
                hint=f"docker rmi {name}, if it is not needed, or give the kit another name",
            )
        task = listener.task("loading into docker", _size(image))
        report = load(image, [name], sdk, task.advance)
        task.done()
    moved = f"; the name was {before.image_id}'s before" if before else ""
    return f"loaded into docker as {name} ({report.reused_layers} layers were there){moved}"


def _push(image: Image, target: str, mount_from: Sequence[str], listener: Listener) -> str:
    from mealkit.stores.registry.push import push
    from mealkit.stores.registry.reaching import Registries

    task = listener.task(f"pushing to {target}", _size(image))
    with Registries.from_environment() as registries:
        report = push(
            image, Reference.parse(target), registries, mount_from=mount_from, advance=task.advance
        )
    task.done()
    return f"pushed to {target}@{report.digest} ({report.sent_bytes} bytes sent)"


def _size(image: Image) -> int:
    return sum(layer.blob.size_bytes for layer in image.layers)
