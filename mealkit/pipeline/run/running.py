"""Runs a kit or an image: checks the machine, starts a container, waits until it is ready."""

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mealkit.containers.container import Container
from mealkit.errors import MealkitError, Owner, OwnerContact, failure
from mealkit.oci.image import Image
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.machine.clients import (
    ContainerClient,
    client_of,
    clients,
    stop_seconds_of,
)
from mealkit.pipeline.machine.machine_facts import host_facts
from mealkit.pipeline.machine.preflighting import Start, check_start, here_context
from mealkit.pipeline.machine.stated_needs import Stated, stated_by
from mealkit.pipeline.opening_images import current_image, resolved
from mealkit.pipeline.policy.admitting import accepted, require_local_builds
from mealkit.pipeline.policy.candidates import built_candidate
from mealkit.pipeline.run.caller_access import access_of
from mealkit.pipeline.run.container_spec import Runnable, early_content, spec_of
from mealkit.pipeline.run.examples import example_command
from mealkit.pipeline.run.image_to_run import Wanted, image_to_run
from mealkit.pipeline.run.names_in_use import (
    before_build,
    name_of,
    replaced_by,
    require_client,
    require_free_port,
    trial_of,
)
from mealkit.pipeline.run.readiness import Trust, explained, wait_until_ready
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.targets import (
    ImageTarget,
    KitFolder,
    Listing,
    RegistryReference,
    kit_or_image_named,
)
from mealkit.preflight.facts import Facts
from mealkit.progress import Progress
from mealkit.recipe.kit import Contact, Gpu

if TYPE_CHECKING:
    pass


_KEY = " -H 'Authorization: Bearer KEY'"


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
class Opened:
    """What is to be run, as the caller named it and as it was found."""

    named: KitFolder | ImageTarget
    content: OpenedKit | ImageTarget


def run_kit(request: RunRequest, home: Home, progress: Progress) -> RunReport:
    """Start a kit, or an image, and wait until it has answered one real request.

    Raises:
        PreflightError: this machine does not fit.
        ContainerError, EngineError: it did not start, or did not become ready; the problem is
            the one that the container stated, if it stated one.
    """
    access_of(request.address, request.keys)
    return run_opened(request, open_to_run(request, home, progress), home, progress)


def run_opened(request: RunRequest, opened: Opened, home: Home, progress: Progress) -> RunReport:
    """Start what was opened; otherwise like `run_kit`."""
    facts = host_facts(home)
    stated = stated_needs(opened, request, home, progress)
    name = request.name or name_of(opened.content, stated)
    request, place = before_build(request, name, home)
    if stated is not None:
        check_machine(stated, place, facts, home, progress)
    elif isinstance(opened.content, OpenedKit):
        require_client(request, home)
        require_free_port(place, opened.content.parts.kit.serving.port)
    shown = runnable(opened, request, home, progress)
    listed = _checked_listing(shown.image, opened.named, home)
    checked = stated.requirements if stated else None
    if shown.lock.requirements != checked:
        check_machine(shown.stated, place, facts, home, progress)
    return replace(_run_checked(request, shown, home, progress), listed=listed)


def open_to_run(request: RunRequest, home: Home, progress: Progress) -> Opened:
    """Open the kit or find the image that a request names."""
    named = resolved(kit_or_image_named(request.target), home, progress)
    match named:
        case KitFolder():
            return Opened(named, open_kit(named, home, request.allowed, progress))
        case RegistryReference():
            return Opened(named, current_image(named, home, request.platform, progress))
        case _:
            return Opened(named, named)


def runnable(opened: Opened, request: RunRequest, home: Home, progress: Progress) -> Runnable:
    """Build or pull the image, if the policies accept it; it is in the local store then."""
    wanted = Wanted(request.target, opened.content, request.platform, request.client)
    image = image_to_run(wanted, opened.named, home, progress, early_content(request, home))
    return Runnable(image, lock_of(image), built_here=isinstance(opened.content, OpenedKit))


def run_built(request: RunRequest, image: Image, home: Home, progress: Progress) -> RunReport:
    """Start an image of the local store that this process has built; otherwise like `run_kit`."""
    access_of(request.address, request.keys)
    require_local_builds(request.target)
    accepted(built_candidate(request.target, image), progress)
    shown = Runnable(image, lock_of(image), built_here=True)
    check_machine(shown.stated, request, host_facts(home), home, progress)
    return _run_checked(request, shown, home, progress)


def _run_checked(request: RunRequest, shown: Runnable, home: Home, progress: Progress) -> RunReport:
    """Run an image, on a machine that fits."""
    try:
        if request.replaces:
            _replace(request, shown, home, progress)
        return _run(request, shown, home, progress)
    except MealkitError as error:
        raise with_contact(error, shown.lock.about.owner) from error


def _replace(request: RunRequest, shown: Runnable, home: Home, progress: Progress) -> None:
    """Stop the kit whose place is taken, after the new one has answered without a port.

    A kit that uses a GPU is not tried: the running one has the GPU's memory.

    Raises:
        MealkitError: the new one does not become ready; the old one still runs.
    """
    old = replaced_by(request, shown.lock.about.name, home)
    if old is None:
        return
    client = client_of(old.name, home)
    if shown.lock.requirements.gpu is Gpu.NONE and old.exit is None:
        progress.phase(f"trying the new kit before {old.name} is stopped")
        with trial_of(request, home) as trial:
            _run(replace(trial, client=client.name), shown, home, progress)
    progress.phase(f"stopping {old.name}")
    client.stop(old.name, stop_seconds_of(old))
    client.remove(old.name)


def _checked_listing(image: Image, named: KitFolder | ImageTarget, home: Home) -> Listing | None:
    """Return the entry of the catalogue that an image is from; it must be the entry's kit."""
    if not isinstance(named, RegistryReference) or named.listed is None:
        return None
    from mealkit.pipeline.image.pulling import named_as_listed
    from mealkit.stores.local import LocalStore

    named_as_listed(image, named, LocalStore(home.store))
    return named.listed


def stated_needs(
    opened: Opened, request: RunRequest, home: Home, progress: Progress
) -> Stated | None:
    """Return what a kit or an image states about its needs, before anything is built or pulled.

    A kit without a lock, or whose inputs must be resolved again, states no requirements yet.
    """
    content, kind = opened.content, request.platform.architecture
    if not isinstance(content, OpenedKit):
        return stated_by(content, kind, home, progress)
    return stated_by(content.lock_as_written(), kind, home) if content.is_resolved else None


def check_machine(
    stated: Stated, request: RunRequest, facts: Facts, home: Home, progress: Progress
) -> None:
    """Check whether a machine fits.

    Raises:
        PreflightError, ContainerError, StoreError: all blocking findings at once.
        KitError: ``USAGE``, the kit is not built for the requested architecture.
    """
    built = [item.value for item in stated.requirements.architectures]
    if request.architecture not in {None, *built}:
        raise failure(
            "USAGE",
            f"{stated.name} is not built for {request.architecture}",
            hint=f"--architecture {' or '.join(built)}; or add it to hardware.architectures",
        )
    start = Start(request.client, request.address, request.port, request.embedded)
    context = here_context(stated, facts, home, start)
    try:
        check_start(stated, context, facts, request.overrides, progress)
    except MealkitError as error:
        raise (with_contact(error, stated.owner) if stated.owner else error) from error


def _run(request: RunRequest, shown: Runnable, home: Home, progress: Progress) -> RunReport:
    from mealkit.containers.select import choose

    client: ContainerClient = choose(clients(home), request.client)
    progress.phase(f"starting with {client.name}")
    for limit in client.limits():
        progress.phase(f"note: {limit}")
    lock = shown.lock
    spec = spec_of(request, shown, client, home, progress)
    started = time.monotonic()
    try:
        container = client.start(spec)
    except MealkitError as error:
        raise explained(error) from error
    seconds = request.timeout_seconds
    trust = Trust.of(lock, built_here=shown.built_here, memory_bytes=spec.memory_bytes)
    wait_until_ready(client, container, seconds, progress, trust)
    report = report_of(container, shown, client)
    return replace(
        report,
        ready_seconds=time.monotonic() - started,
        example=report.example + (_KEY if request.keys else ""),
    )


def report_of(container: Container, shown: Runnable, client: ContainerClient) -> RunReport:
    """Return the report about a container that runs an image."""
    return RunReport(
        name=container.name,
        kit=container.kit,
        client=client.name,
        url=container.url,
        recipe=str(shown.lock.recipe),
        image=str(shown.image.digest),
        ready_seconds=time.time() - container.started_seconds,
        example=example_command(container.url, shown.lock),
        owner=shown.lock.about.owner,
        limits=client.limits(),
    )


def with_contact(error: MealkitError, owner: Contact) -> MealkitError:
    """Add the contact to the problems that the kit's author owns."""
    contact = OwnerContact(owner.team, owner.contact, owner.support)
    return type(error)(
        *(
            replace(item, contact=contact) if item.owner is Owner.KIT_AUTHOR else item
            for item in error.problems
        )
    )
