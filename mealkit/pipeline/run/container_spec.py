"""Puts an image where a container client can start it, and describes the container to start."""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mealkit.assembly.lean import lean_image, weight_layers
from mealkit.containers.container import (
    LABEL_HOME,
    LABEL_KEYS,
    LoadedImage,
    Mount,
    RunSpec,
    UnpackedRoot,
)
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import image_name
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.machine.clients import ContainerClient, clients
from mealkit.pipeline.machine.stated_needs import Stated
from mealkit.pipeline.run.caller_access import access_of
from mealkit.pipeline.run.kept_records import kept_records
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.preflight.cpu import architecture
from mealkit.preflight.here import has_gpu_devices
from mealkit.preflight.override import labels, variables
from mealkit.progress import SILENT, Progress
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import ops_json
from mealkit.stores.blobs import VirtualBlob

if TYPE_CHECKING:
    from mealkit.pipeline.image.pulling import Early


# By default QEMU emulates pointer authentication and the widest vectors for arm64, which is five to
# ten times as slow. QEMU for another architecture would not know this processor.
_EMULATED_PROCESSOR = {"arm64": {"QEMU_CPU": "cortex-a72"}}


@dataclass(frozen=True, slots=True)
class Runnable:
    """An image to run, and its lock."""

    image: Image
    lock: Lock
    built_here: bool
    """Whether it was built from a kit by this command."""
    stored_as: str | None = None
    """Its name in the container engine, after ``mealkit-run/``; None: the kit's."""

    @property
    def kit(self) -> str:
        """The kit's name and version."""
        return image_name(self.lock)

    @property
    def stated(self) -> Stated:
        """The needs that its lock states, after it is in the local store."""
        return Stated(self.kit, self.lock.requirements, self.lock.about.owner, is_here=True)


def spec_of(
    request: RunRequest,
    shown: Runnable,
    client: ContainerClient,
    home: Home,
    progress: Progress,
) -> RunSpec:
    """Load or unpack an image for a client, and return the container to start from it."""
    image, lock = shown.image, shown.lock
    access, keys = access_of(request.address, request.keys, request.origins)
    mounted = () if request.embedded else _mounts(image)
    started = shown if not mounted else replace(shown, image=lean_image(image))
    content = _content(started, client, home, progress)
    name = request.name or lock.about.name
    records, recording = kept_records(request.records or name, lock, request.ops, home)
    return RunSpec(
        name=name,
        kit=shown.kit,
        recipe=str(lock.recipe),
        content=content,
        container_port=lock.serving.port,
        environment={
            "MEALKIT_IMAGE_DIGEST": str(image.digest),
            **variables(request.overrides),
            **({"MEALKIT_OPS": ops_json(request.ops)} if request.ops else {}),
            **_verified(image, mounted),
            **recording,
            **_EMULATED_PROCESSOR.get(_foreign(image) or "", {}),
            **access,
        },
        mounts=(*mounted, *keys),
        memory_bytes=_whole_pages(lock.requirements.memory_bytes),
        shared_memory_bytes=lock.requirements.shm_bytes or None,
        host_address=request.address,
        host_port=lock.serving.port if request.port is None else request.port,
        gpus=lock.requirements.gpu is not Gpu.NONE and has_gpu_devices(),
        fetches=bool(lock.engine.settings.get("fetch_from")),
        architecture=_foreign(image),
        labels=image.labels
        | labels(request.overrides)
        | {
            "dev.mealkit.stop-seconds": str(lock.serving.stop_seconds),
            LABEL_HOME: home.id,
            LABEL_KEYS: "required" if request.keys else "none",
        },
        stop_seconds=lock.serving.stop_seconds,
        records=records,
        is_published=request.is_published,
    )


def _foreign(image: Image) -> str | None:
    """Return the image's architecture, if it is not this machine's."""
    name = image.platform.architecture
    return None if name == architecture() else name


def _whole_pages(size_bytes: int) -> int:
    """Round up to whole pages: the kernel rounds limits down, which would be too little memory."""
    return -(-size_bytes // mmap.PAGESIZE) * mmap.PAGESIZE


def _verified(image: Image, mounted: Sequence[Mount]) -> dict[str, str]:
    """State which files were hashed here, and what they looked like then.

    The container need not wait for hashing them again, if they are the same.
    """
    weights = weight_layers(image) if mounted else ()
    keys = {
        str(weight.digest): weight.layer.blob.key.as_json()
        for weight in weights
        if isinstance(weight.layer.blob, VirtualBlob)
    }
    return {"MEALKIT_VERIFIED": json.dumps(keys)} if keys else {}


def _mounts(image: Image) -> tuple[Mount, ...]:
    """Mount weights from their files, if all weight layers are virtual; else mount nothing."""
    weights = weight_layers(image)
    virtual = [
        Mount(weight.layer.blob.source, f"/{weight.path}")
        for weight in weights
        if isinstance(weight.layer.blob, VirtualBlob)
    ]
    return tuple(virtual) if len(virtual) == len(weights) else ()


def _content(
    shown: Runnable, client: ContainerClient, home: Home, progress: Progress
) -> LoadedImage | UnpackedRoot:
    """Put the image where the client can start it.

    The container engine gets the kit's name for it, unless another image has that name. Only an
    image that was just built here may take over the name.
    """
    from mealkit.containers.docker import DockerClient

    image = shown.image
    if not isinstance(client, DockerClient):
        return _unpacked(image, home, progress)
    from mealkit.stores.docker_load import holder_of, load

    task = progress.task("loading", sum(layer.blob.size_bytes for layer in image.layers))
    with client.connected("load the image") as sdk:
        name = f"mealkit-run/{shown.stored_as or shown.kit}"
        if not shown.built_here and holder_of(name, image, sdk):
            name = f"mealkit-run/by-digest:{image.digest.hex}"
        report = load(image, [name], sdk, task.advance)
    task.done(f"{report.reused_layers} layers already present")
    return LoadedImage(report.image_id)


def early_content(request: RunRequest, home: Home) -> "Early | None":
    """Return what puts an image without its weights where the client can start it."""
    if request.embedded:
        return None

    def begin(image: Image) -> object:
        from mealkit.containers.select import choose

        client = choose(clients(home), request.client)
        lean = Runnable(lean_image(image), lock_of(image), built_here=False)
        return _content(lean, client, home, SILENT)

    return begin


def _unpacked(image: Image, home: Home, progress: Progress) -> UnpackedRoot:
    from mealkit.containers.root import unpack_root

    task = progress.task("unpacking", sum(layer.blob.size_bytes for layer in image.layers))
    folder = unpack_root(image.layers, home.roots / image.digest.hex, task.advance)
    task.done()
    config: dict[str, Any] = image.config.get("config") or {}
    return UnpackedRoot(
        folder,
        (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        dict(item.split("=", 1) for item in config.get("Env") or []),
        config.get("WorkingDir") or "/",
    )
