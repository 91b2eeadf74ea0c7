"""Running: a kit or an image is preflighted, started in a container, and waited for."""

import mmap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mealkit.assembly.lean import lean_image, weight_layers
from mealkit.containers.container import LoadedImage, Mount, RunSpec, UnpackedRoot
from mealkit.errors import MealkitError, Owner, OwnerContact
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit, image_name
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.listener import Listener
from mealkit.pipeline.machine.clients import ContainerClient, clients
from mealkit.pipeline.machine.hosting import host_facts
from mealkit.pipeline.machine.preflighting import (
    Start,
    Stated,
    check_start,
    here_context,
    stated_by,
)
from mealkit.pipeline.run.access import access_of
from mealkit.pipeline.run.examples import example_command
from mealkit.pipeline.run.readiness import Trust, explained, wait_until_ready
from mealkit.pipeline.targets import names_path, open_image
from mealkit.preflight.cpu import architecture
from mealkit.preflight.facts import Facts
from mealkit.preflight.here import has_gpu_devices
from mealkit.preflight.override import labels, variables
from mealkit.recipe.kit import Contact, Gpu
from mealkit.recipe.lock import Lock
from mealkit.recipe.requirements import Requirements
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore

_KEY = " -H 'Authorization: Bearer KEY'"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked for."""

    target: str
    client: str | None = None
    name: str | None = None
    port: int | None = None
    address: str = "127.0.0.1"
    keys: Path | None = None
    """The file of the keys' hashes; callers need one of the keys then."""
    embedded: bool = False
    timeout_seconds: float = 600.0
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Why findings of the preflight that forbid the start shall not, by their codes."""
    allowed: tuple[Path, ...] = ()
    """Folders besides a kit's own that its files may lie in."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """A kit that is ready: where, under which name, and who owns it."""

    name: str
    kit: str
    client: str
    url: str
    recipe: str
    ready_seconds: float
    example: str
    owner: Contact
    limits: tuple[str, ...] = field(default=())


def run_kit(request: RunRequest, home: Home, listener: Listener) -> RunReport:
    """Start a kit, or an image, and wait until it has answered one real request.

    Raises:
        PreflightError: this machine does not fit.
        ContainerError, EngineError: it did not start, or did not become ready; the problem is
            the one that the container stated, if it stated one.
    """
    access_of(request.address, request.keys)
    facts = host_facts(home)
    checked = _check_stated(request, facts, home, listener)
    image = _image(request, home, listener)
    lock = lock_of(image)
    try:
        if lock.requirements != checked:
            name = image_name(lock)
            stated = Stated(name, lock.requirements, lock.about.owner, is_here=True)
            _check(stated, request, facts, home, listener)
        return _run(request, image, lock, home, listener)
    except MealkitError as error:
        raise _with_contact(error, lock.about.owner) from error


def _check_stated(
    request: RunRequest, facts: Facts, home: Home, listener: Listener
) -> Requirements | None:
    """Hold the machine against what is stated before anything is built or pulled, and return it.

    A kit whose lock is missing, or has to be resolved again, states nothing yet.
    """
    try:
        stated = stated_by(request.target, facts.architecture, home, request.allowed)
    except MealkitError as error:
        if error.problems[0].code not in {"LOCK_MISSING", "LOCK_STALE"}:
            raise
        return None
    try:
        _check(stated, request, facts, home, listener)
    except MealkitError as error:
        raise (_with_contact(error, stated.owner) if stated.owner else error) from error
    return stated.requirements


def _check(
    stated: Stated, request: RunRequest, facts: Facts, home: Home, listener: Listener
) -> None:
    start = Start(request.client, request.address, request.port, request.embedded)
    context = here_context(stated, facts, home, start)
    check_start(stated, context, facts, request.overrides, listener)


def _run(
    request: RunRequest, image: Image, lock: Lock, home: Home, listener: Listener
) -> RunReport:
    from mealkit.containers.select import choose

    client: ContainerClient = choose(clients(home), request.client)
    listener.phase(f"starting with {client.name}")
    for limit in client.limits():
        listener.phase(f"note: {limit}")
    spec = _spec(request, image, lock, client, home, listener)
    started = time.monotonic()
    try:
        container = client.start(spec)
    except MealkitError as error:
        raise explained(error) from error
    seconds = request.timeout_seconds
    built_here = _is_kit(request.target)
    trust = Trust.of(lock, built_here=built_here, memory_bytes=spec.memory_bytes)
    wait_until_ready(client, container, seconds, listener, trust)
    return RunReport(
        name=container.name,
        kit=container.kit,
        client=client.name,
        url=container.url,
        recipe=str(lock.recipe),
        ready_seconds=time.monotonic() - started,
        example=example_command(container.url, lock) + (_KEY if request.keys else ""),
        owner=lock.about.owner,
        limits=client.limits(),
    )


def _with_contact(error: MealkitError, owner: Contact) -> MealkitError:
    """Say whom to ask about the problems that are the kit author's."""
    contact = OwnerContact(owner.team, owner.contact, owner.support)
    return type(error)(
        *(
            replace(item, contact=contact) if item.owner is Owner.KIT_AUTHOR else item
            for item in error.problems
        )
    )


def _image(request: RunRequest, home: Home, listener: Listener) -> Image:
    """Return the image of a kit's folder, of the local store, or of a registry."""
    target, store = request.target, LocalStore(home.store)
    if _is_kit(target):
        path = Path(target)
        report = build_kit(
            path,
            frozen=False,
            outputs=Outputs(),
            home=home,
            listener=listener,
            allowed=request.allowed,
        )
        return store.image(str(report.digest))
    if names_path(target):
        with open_image(target, home) as found:
            return _stored(found, target, store, listener)
    try:
        return _verified(store.image(target), store, listener)
    except MealkitError as error:
        reference = Reference.parse(target)
        if error.problems[0].code != "IMAGE_NOT_FOUND" or reference.registry is None:
            raise
    from mealkit.pipeline.image.pulling import pull

    return pull(reference, architecture(), home, listener)


def _is_kit(target: str) -> bool:
    """Tell whether a kit is named, and no image: it is built here then."""
    path = Path(target)
    return path.is_dir() or path.name.endswith((".yaml", ".yml"))


def _stored(image: Image, target: str, store: LocalStore, listener: Listener) -> Image:
    """Keep an image from elsewhere, under the name that it states if no other image has that."""
    name = image_name(lock_of(image))
    task = listener.task(f"storing {target}", sum(item.blob.size_bytes for item in image.layers))
    with store.use():
        store.put(image, [], task.advance)
        holder = store.claim(image.digest, name)
    task.done()
    if holder is not None:
        listener.phase(
            f"note: it calls itself {name}, which is another image here ({holder});"
            f" it has no name, its digest is {image.digest}"
        )
    return store.image(str(image.digest))


def _verified(image: Image, store: LocalStore, listener: Listener) -> Image:
    """Look again at weights that were touched or moved since they were verified."""
    if all(store.has(layer.blob.digest) for layer in image.layers):
        return image
    from mealkit.stores.upkeep import refresh_sources

    task = listener.task("verifying changed files", None)
    refresh_sources(image, store, task.advance)
    task.done()
    return store.image(str(image.digest))


def _spec(
    request: RunRequest,
    image: Image,
    lock: Lock,
    client: ContainerClient,
    home: Home,
    listener: Listener,
) -> RunSpec:
    access, keys = access_of(request.address, request.keys)
    mounted = () if request.embedded else _mounts(image)
    shown = image if request.embedded or not mounted else lean_image(image)
    name = request.name or lock.about.name
    content = _content(request, shown, lock, client, home, listener)
    return RunSpec(
        name=name,
        kit=image_name(lock),
        recipe=str(lock.recipe),
        content=content,
        container_port=lock.serving.port,
        environment={
            "MEALKIT_IMAGE_DIGEST": str(image.digest),
            **variables(request.overrides),
            **access,
        },
        mounts=(*mounted, *keys),
        memory_bytes=_whole_pages(lock.requirements.memory_bytes),
        shared_memory_bytes=lock.requirements.shm_bytes or None,
        host_address=request.address,
        host_port=lock.serving.port if request.port is None else request.port,
        gpus=lock.requirements.gpu is not Gpu.NONE and has_gpu_devices(),
        fetches=bool(lock.engine.settings.get("fetch_from")),
        labels=image.labels
        | labels(request.overrides)
        | {"dev.mealkit.stop-seconds": str(lock.serving.drain_seconds + 10)},
        stop_seconds=lock.serving.drain_seconds + 10,
    )


def _whole_pages(size_bytes: int) -> int:
    """Round up: the kernel rounds a limit down, and the kit would find less than it needs."""
    return -(-size_bytes // mmap.PAGESIZE) * mmap.PAGESIZE


def _mounts(image: Image) -> tuple[Mount, ...]:
    """Mount weights from the files they lie in; a layer that was written stays in the image."""
    weights = weight_layers(image)
    virtual = [
        Mount(weight.layer.blob.source, f"/{weight.path}")
        for weight in weights
        if isinstance(weight.layer.blob, VirtualBlob)
    ]
    return tuple(virtual) if len(virtual) == len(weights) else ()


def _content(
    request: RunRequest,
    image: Image,
    lock: Lock,
    client: ContainerClient,
    home: Home,
    listener: Listener,
) -> LoadedImage | UnpackedRoot:
    """Put the image where the client starts it from.

    The engine names it as the kit is called, unless that is another image's name: only what was
    built here just now may take over the name, and then it is its own.
    """
    from mealkit.containers.docker import DockerClient

    if not isinstance(client, DockerClient):
        return _unpacked(image, home, listener)
    from mealkit.stores.docker_load import holder_of, load

    task = listener.task("loading", sum(layer.blob.size_bytes for layer in image.layers))
    with client.connected("load the image") as sdk:
        name = f"mealkit-run/{image_name(lock)}"
        if not _is_kit(request.target) and holder_of(name, image, sdk):
            name = f"mealkit-run/by-digest:{image.digest.hex}"
        report = load(image, [name], sdk, task.advance)
    task.done(f"{report.reused_layers} layers were there")
    return LoadedImage(report.image_id)


def _unpacked(image: Image, home: Home, listener: Listener) -> UnpackedRoot:
    from mealkit.containers.root import unpack_root

    task = listener.task("unpacking", sum(layer.blob.size_bytes for layer in image.layers))
    folder = unpack_root(image.layers, home.roots / image.digest.hex, task.advance)
    task.done()
    config: dict[str, Any] = image.config.get("config") or {}
    return UnpackedRoot(
        folder,
        (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        dict(item.split("=", 1) for item in config.get("Env") or []),
        config.get("WorkingDir") or "/",
    )
