"""Runs a kit or an image: checks the machine, starts a container, waits until it is ready."""

import json
import mmap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.assembly.lean import lean_image, weight_layers
from mealkit.containers.container import LoadedImage, Mount, RunSpec, UnpackedRoot
from mealkit.errors import MealkitError, Owner, OwnerContact, failure
from mealkit.oci.descriptor import Platform
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import image_name
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.machine.clients import ContainerClient, clients
from mealkit.pipeline.machine.machine_facts import host_facts
from mealkit.pipeline.machine.preflighting import Start, check_start, here_context
from mealkit.pipeline.machine.stated_needs import Stated, stated_by
from mealkit.pipeline.opening_images import current_image, resolved
from mealkit.pipeline.policy.admitting import accepted, require_local_builds
from mealkit.pipeline.policy.candidates import built_candidate
from mealkit.pipeline.run.caller_access import access_of
from mealkit.pipeline.run.examples import example_command
from mealkit.pipeline.run.image_to_run import Wanted, image_to_run
from mealkit.pipeline.run.kept_records import kept_records
from mealkit.pipeline.run.readiness import Trust, explained, wait_until_ready
from mealkit.pipeline.targets import (
    ImageTarget,
    KitFolder,
    Listing,
    RegistryReference,
    kit_or_image_named,
)
from mealkit.preflight.cpu import architecture
from mealkit.preflight.facts import Facts
from mealkit.preflight.here import has_gpu_devices
from mealkit.preflight.override import labels, variables
from mealkit.progress import SILENT, Progress
from mealkit.recipe.kit import Contact, Gpu
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations, ops_json
from mealkit.recipe.requirements import Requirements
from mealkit.stores.blobs import VirtualBlob

if TYPE_CHECKING:
    from mealkit.pipeline.image.pulling import Early


# By default QEMU emulates pointer authentication and the widest vectors for arm64, which is five to
# ten times as slow. QEMU for another architecture would not know this processor.
_EMULATED_PROCESSOR = {"arm64": {"QEMU_CPU": "cortex-a72"}}
_KEY = " -H 'Authorization: Bearer KEY'"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The options."""

    target: str
    client: str | None = None
    name: str | None = None
    port: int | None = None
    address: str = "127.0.0.1"
    keys: Path | None = None
    """The file with the hashes of the keys; if given, callers need one of the keys."""
    origins: tuple[str, ...] = ()
    """The origins of pages that may call the kit from a browser."""
    embedded: bool = False
    architecture: str | None = None
    """The architecture of the image to run; None: this machine's, if the image has several."""
    timeout_seconds: float = 600.0
    overrides: Mapping[str, str] = field(default_factory=dict)
    """The reasons for overriding blocking findings of the preflight, by code."""
    allowed: tuple[Path, ...] = ()
    """Folders that may contain the kit's files, besides its own folder."""
    ops: Operations | None = None
    """The sections of ``ops`` that replace the kit's."""

    @property
    def platform(self) -> Platform:
        """The platform of the image to choose."""
        return Platform("linux", self.architecture or architecture())


@dataclass(frozen=True, slots=True)
class RunReport:
    """A kit that is ready: its address, name and owner."""

    name: str
    kit: str
    client: str
    url: str
    recipe: str
    image: str
    """The image's digest."""
    ready_seconds: float
    example: str
    owner: Contact
    limits: tuple[str, ...] = field(default=())
    listed: Listing | None = None
    """The entry of the catalogue that the kit is from; None: it was not found by a short name."""


@dataclass(frozen=True, slots=True)
class _Runnable:
    """An image to run, and its lock."""

    image: Image
    lock: Lock
    built_here: bool
    """Whether it was built from a kit by this command."""

    @property
    def kit(self) -> str:
        """The kit's name and version."""
        return image_name(self.lock)


def run_kit(request: RunRequest, home: Home, progress: Progress) -> RunReport:
    """Start a kit, or an image, and wait until it has answered one real request.

    Raises:
        PreflightError: this machine does not fit.
        ContainerError, EngineError: it did not start, or did not become ready; the problem is
            the one that the container stated, if it stated one.
    """
    access_of(request.address, request.keys)
    named = resolved(kit_or_image_named(request.target), home, progress)
    opened: OpenedKit | ImageTarget
    match named:
        case KitFolder():
            opened = open_kit(named, home, request.allowed, progress)
        case RegistryReference():
            opened = current_image(named, home, request.platform, progress)
        case _:
            opened = named
    facts = host_facts(home)
    checked = _check_stated(opened, request, facts, home, progress)
    wanted = Wanted(request.target, opened, request.platform, request.client)
    image = image_to_run(wanted, named, home, progress, _early_content(request, home))
    listed = _checked_listing(image, named, home)
    shown = _Runnable(image, lock_of(image), built_here=isinstance(opened, OpenedKit))
    return replace(_run_checked(request, shown, checked, facts, home, progress), listed=listed)


def run_built(request: RunRequest, image: Image, home: Home, progress: Progress) -> RunReport:
    """Start an image of the local store that this process has built; otherwise like `run_kit`."""
    access_of(request.address, request.keys)
    require_local_builds(request.target)
    accepted(built_candidate(request.target, image), progress)
    shown = _Runnable(image, lock_of(image), built_here=True)
    return _run_checked(request, shown, None, host_facts(home), home, progress)


def _run_checked(
    request: RunRequest,
    shown: _Runnable,
    checked: Requirements | None,
    facts: Facts,
    home: Home,
    progress: Progress,
) -> RunReport:
    """Run an image, on a machine that fits; ``checked`` are requirements that it fits already."""
    owner = shown.lock.about.owner
    try:
        if shown.lock.requirements != checked:
            stated = Stated(shown.kit, shown.lock.requirements, owner, is_here=True)
            _check(stated, request, facts, home, progress)
        return _run(request, shown, home, progress)
    except MealkitError as error:
        raise _with_contact(error, owner) from error


def _checked_listing(image: Image, named: KitFolder | ImageTarget, home: Home) -> Listing | None:
    """Return the entry of the catalogue that an image is from; it must be the entry's kit."""
    if not isinstance(named, RegistryReference) or named.listed is None:
        return None
    from mealkit.pipeline.image.pulling import named_as_listed
    from mealkit.stores.local import LocalStore

    named_as_listed(image, named, LocalStore(home.store))
    return named.listed


def _check_stated(
    opened: OpenedKit | ImageTarget,
    request: RunRequest,
    facts: Facts,
    home: Home,
    progress: Progress,
) -> Requirements | None:
    """Check the machine before anything is built or pulled; return the checked requirements.

    A kit without a lock, or whose inputs must be resolved again, states no requirements yet.
    """
    if not isinstance(opened, OpenedKit):
        stated = stated_by(opened, request.platform.architecture, home, progress)
    elif opened.is_resolved:
        stated = stated_by(opened.lock_as_written(), request.platform.architecture, home)
    else:
        return None
    try:
        _check(stated, request, facts, home, progress)
    except MealkitError as error:
        raise (_with_contact(error, stated.owner) if stated.owner else error) from error
    return stated.requirements


def _check(
    stated: Stated, request: RunRequest, facts: Facts, home: Home, progress: Progress
) -> None:
    built = [item.value for item in stated.requirements.architectures]
    if request.architecture not in {None, *built}:
        raise failure(
            "USAGE",
            f"{stated.name} is not built for {request.architecture}",
            hint=f"--architecture {' or '.join(built)}; or add it to hardware.architectures",
        )
    start = Start(request.client, request.address, request.port, request.embedded)
    context = here_context(stated, facts, home, start)
    check_start(stated, context, facts, request.overrides, progress)


def _run(request: RunRequest, shown: _Runnable, home: Home, progress: Progress) -> RunReport:
    from mealkit.containers.select import choose

    client: ContainerClient = choose(clients(home), request.client)
    progress.phase(f"starting with {client.name}")
    for limit in client.limits():
        progress.phase(f"note: {limit}")
    lock = shown.lock
    spec = _spec(request, shown, client, home, progress)
    started = time.monotonic()
    try:
        container = client.start(spec)
    except MealkitError as error:
        raise explained(error) from error
    seconds = request.timeout_seconds
    trust = Trust.of(lock, built_here=shown.built_here, memory_bytes=spec.memory_bytes)
    wait_until_ready(client, container, seconds, progress, trust)
    return RunReport(
        name=container.name,
        kit=container.kit,
        client=client.name,
        url=container.url,
        recipe=str(lock.recipe),
        image=str(shown.image.digest),
        ready_seconds=time.monotonic() - started,
        example=example_command(container.url, lock) + (_KEY if request.keys else ""),
        owner=lock.about.owner,
        limits=client.limits(),
    )


def _with_contact(error: MealkitError, owner: Contact) -> MealkitError:
    """Add the contact to the problems that the kit's author owns."""
    contact = OwnerContact(owner.team, owner.contact, owner.support)
    return type(error)(
        *(
            replace(item, contact=contact) if item.owner is Owner.KIT_AUTHOR else item
            for item in error.problems
        )
    )


def _spec(
    request: RunRequest,
    shown: _Runnable,
    client: ContainerClient,
    home: Home,
    progress: Progress,
) -> RunSpec:
    image, lock = shown.image, shown.lock
    access, keys = access_of(request.address, request.keys, request.origins)
    mounted = () if request.embedded else _mounts(image)
    started = shown if not mounted else replace(shown, image=lean_image(image))
    content = _content(started, client, home, progress)
    name = request.name or lock.about.name
    records, recording = kept_records(name, lock, request.ops, home)
    return RunSpec(
        name=name,
        kit=shown.kit,
        recipe=str(lock.recipe),
        content=content,
        container_port=lock.serving.port,
        environment={
            "MEALKIT_IMAGE_DIGEST": str(image.digest),
            **variables(request.overrides),
            **_verified(image, mounted),
            **({"MEALKIT_OPS": ops_json(request.ops)} if request.ops else {}),
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
        | {"dev.mealkit.stop-seconds": str(lock.serving.stop_seconds)},
        stop_seconds=lock.serving.stop_seconds,
        records=records,
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
    shown: _Runnable, client: ContainerClient, home: Home, progress: Progress
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
        name = f"mealkit-run/{shown.kit}"
        if not shown.built_here and holder_of(name, image, sdk):
            name = f"mealkit-run/by-digest:{image.digest.hex}"
        report = load(image, [name], sdk, task.advance)
    task.done(f"{report.reused_layers} layers already present")
    return LoadedImage(report.image_id)


def _early_content(request: RunRequest, home: Home) -> "Early | None":
    """Return what puts an image without its weights where the client can start it."""
    if request.embedded:
        return None

    def begin(image: Image) -> object:
        from mealkit.containers.select import choose

        client = choose(clients(home), request.client)
        lean = _Runnable(lean_image(image), lock_of(image), built_here=False)
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
