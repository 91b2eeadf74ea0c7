"""Preflight: what a kit states that it needs, held against this machine or descriptions of others.

Nothing is pulled: of an image in a registry the manifest's annotations are enough.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mealkit.errors import CATALOGUE, MealkitError, failure, failures, problem
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import Home
from mealkit.pipeline.listener import Listener
from mealkit.preflight.cpu import architecture
from mealkit.preflight.facts import Facts, parse_facts, read_facts
from mealkit.preflight.finding import Context, Report, Severity, Verdict
from mealkit.preflight.here import closed_devices, closed_folders, port_is_free
from mealkit.preflight.override import apply
from mealkit.preflight.run import preflight
from mealkit.recipe.kit import Contact, Gpu
from mealkit.recipe.lock import Lock
from mealkit.recipe.requirements import Requirements, read_requirements
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

if TYPE_CHECKING:
    from mealkit.pipeline.kit.parts import OpenKit

# NAME:VERSION, as a kit may be called.
_KIT = re.compile(r"[a-z0-9._-]{1,128}:[A-Za-z0-9._-]{1,128}")
_MOST_FACTS_BYTES = 4 * 1024 * 1024
_BEST_FIRST = (Verdict.FITS, Verdict.UNCERTAIN, Verdict.DOES_NOT_FIT)


@dataclass(frozen=True, slots=True)
class Stated:
    """What a kit says of itself before it is here: its name, its needs, who answers for it."""

    name: str
    requirements: Requirements
    owner: Contact | None
    is_here: bool
    """Whether its image, or what it is built from, is on this machine."""


@dataclass(frozen=True, slots=True)
class PreflightRequest:
    """What was asked: which kit, on which machines (none: this one), started how."""

    target: str
    hosts: tuple[Path, ...] = ()
    """Files with the facts of other machines."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Reasons, by the code of a blocking finding."""
    allowed: tuple[Path, ...] = ()
    """Folders besides the kit's own that its files may lie in."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and what was found of it."""

    name: str
    report: Report


@dataclass(frozen=True, slots=True)
class PreflightAnswer:
    """The findings of every machine that was asked about."""

    name: str
    owner: Contact | None
    machines: tuple[Machine, ...]

    @property
    def verdict(self) -> Verdict:
        """The best verdict: whether any of the machines will do."""
        return min((item.report.verdict for item in self.machines), key=_BEST_FIRST.index)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kit": self.name,
            "verdict": self.verdict.value,
            "owner": self.owner and self.owner.model_dump(mode="json"),
            "machines": [{"machine": item.name, **item.report.as_json()} for item in self.machines],
        }


@dataclass(frozen=True, slots=True)
class Start:
    """How a kit is about to be started, as far as the preflight must know."""

    client: str | None = None
    address: str = "127.0.0.1"
    port: int | None = None
    """The port that was asked for; 0: any; None: the kit's."""
    embedded: bool = False
    """Whether the weights go into the client's store too."""


def preflight_target(request: PreflightRequest, home: Home) -> PreflightAnswer:
    """Hold a kit, its lock or an image against machines; at most manifests are fetched.

    Raises:
        PreflightError: a file holds no facts (``FACTS_INVALID``).
        MealkitError: the kit cannot be read, or states no needs.
    """
    if not request.hosts:
        found = stated_by(request.target, architecture(), home, request.allowed)
        facts = _facts_for(found, home)
        report = preflight(facts, found.requirements, here_context(found, facts, home, Start()))
        machine = Machine(facts.host, apply(report, request.overrides))
        return PreflightAnswer(found.name, found.owner, (machine,))
    stated: dict[str, Stated] = {}
    machines = []
    for name, facts in _described(request.hosts).items():
        kind = facts.architecture
        known = stated.get(kind)
        stated[kind] = found = known or stated_by(request.target, kind, home, request.allowed)
        report = preflight(facts, found.requirements)
        machines.append(Machine(name, apply(report, request.overrides)))
    first = next(iter(stated.values()))
    return PreflightAnswer(first.name, first.owner, tuple(machines))


def stated_by(target: str, architecture: str, home: Home, allowed: Sequence[Path] = ()) -> Stated:
    """Return what a kit's lock, an image's annotations, or a registry's manifest state.

    Raises:
        LockError: the kit has no lock yet (``LOCK_MISSING``), or one that must be resolved again
            (``LOCK_STALE``), or that cannot be read.
        StoreError, RegistryError: there is no such image, or it states no needs.
    """
    lock = _lock_at(target, allowed)
    if lock is not None:
        name = f"{lock.about.name}:{lock.about.version}"
        return Stated(name, lock.requirements, lock.about.owner, is_here=True)
    from mealkit.pipeline.targets import names_path, open_image
    from mealkit.stores.local import LocalStore

    if names_path(target) or Path(target).is_file():
        with open_image(target, home) as image:
            return _stated(image.annotations, target, is_here=True)
    try:
        return _stated(LocalStore(home.store).image(target).annotations, target, is_here=True)
    except MealkitError as error:
        reference = Reference.parse(target)
        if error.problems[0].code != "IMAGE_NOT_FOUND" or reference.registry is None:
            raise
    from mealkit.oci.descriptor import Platform
    from mealkit.stores.registry.pull import RemoteImages
    from mealkit.stores.registry.reaching import Registries

    with Registries.from_environment() as registries:
        remote = RemoteImages(registries)
        annotations = remote.annotations(reference, Platform("linux", architecture))
    return _stated(annotations, target, is_here=False)


def here_context(stated: Stated, facts: Facts, home: Home, start: Start) -> Context:
    """Return where on this machine a kit would run: its port, folders and devices are tried."""
    requirements = stated.requirements
    working = (item.name for item in facts.clients if not item.problem)
    client = start.client or next(working, None)
    port = requirements.port if start.port is None else start.port
    return Context(
        disk_path=home.root,
        disk_bytes=bytes_to_write(stated, embedded=start.embedded),
        client=client,
        port=port or None,
        port_is_free=port_is_free(start.address, port) if port else None,
        clock_seconds=time.time(),
        # Docker's and podman's containers get their devices from the client.
        closed_devices=closed_devices() if client == "sandbox" else {},
        closed_folders=closed_folders((home.root,)),
    )


def bytes_to_write(stated: Stated, *, embedded: bool = False) -> int:
    """Return what is still to be written until a kit runs: pulled, and unpacked by the client.

    Weights are mounted from where they were pulled to, unless they are ``embedded``.
    """
    requirements = stated.requirements
    weights = requirements.weights_bytes
    unpacked = max(0, requirements.disk_bytes - weights)
    pulled = 0 if stated.is_here else weights + unpacked
    return pulled + unpacked + (weights if embedded else 0)


def check_start(
    stated: Stated, context: Context, facts: Facts, overrides: Mapping[str, str], listener: Listener
) -> None:
    """Refuse to start a kit that does not fit; tell what is doubtful, and what was overridden.

    Raises:
        PreflightError, ContainerError, StoreError: everything that blocks, at once.
    """
    starting = replace(context, starting=True)
    report = apply(preflight(facts, stated.requirements, starting), overrides)
    for finding in report.findings:
        if finding.severity is Severity.OVERRIDDEN:
            listener.notice(
                replace(finding.problem, message=f"{finding.message}, overridden: {finding.reason}")
            )
    if report.blockers:
        raise failures(report.blockers)
    for warning in report.warnings:
        listener.notice(warning)
    for code in sorted(set(overrides) - {finding.code for finding in report.overridden}):
        message = "nothing blocks here by this code; the container is told of the override too"
        listener.notice(problem(code, message, hint=CATALOGUE[code].fix))


def _lock_at(target: str, allowed: Sequence[Path]) -> Lock | None:
    """Return a lock file's lock, or that of a kit as it is written now; None for other targets."""
    path = Path(target)
    is_lock = path.name.endswith(".lock") and path.is_file()
    is_folder = path.is_dir() and not (path / "oci-layout").is_file()
    if not is_lock and not is_folder and not path.name.endswith((".yaml", ".yml")):
        return None
    from mealkit.pipeline.kit.parts import lock_file, open_kit

    return lock_file(path) if is_lock else _lock_as_written(open_kit(path, allowed))


def _lock_as_written(kit: "OpenKit") -> Lock:
    """Return what a kit's lock would be now; its requirements follow from what is written.

    Raises:
        LockError: ``LOCK_MISSING``; ``LOCK_STALE``, and the outside would have to be asked.
    """
    from mealkit.lock.drift import drift, needs_network
    from mealkit.lock.resolve import offline_lock

    if kit.lock is None:
        raise failure(
            "LOCK_MISSING",
            "there is no lock, which would say what the kit needs",
            where=str(kit.lock_path),
            hint=f"mealkit lock {kit.folder}",
        )
    changes = drift(kit.parts, kit.lock)
    if needs_network(changes):
        parts = ", ".join(change.path for change in changes if change.path.startswith("requests."))
        raise failure(
            "LOCK_STALE",
            f"the kit asks for other inputs than its lock: {parts}",
            where=str(kit.lock_path),
            hint=f"mealkit lock {kit.folder}",
        )
    return offline_lock(kit.parts, kit.lock) if changes else kit.lock


def _stated(annotations: Mapping[str, str], where: str, *, is_here: bool) -> Stated:
    requirements = read_requirements(annotations, where)
    name = annotations.get("dev.mealkit.kit", where)
    return Stated(
        name if _KIT.fullmatch(name) else where, requirements, _owner(annotations), is_here
    )


def _owner(annotations: Mapping[str, str]) -> Contact | None:
    try:
        stated = annotations["dev.mealkit.owner"].encode(errors="surrogatepass")
        return Contact.model_validate(parse_json_object(stated))
    except (KeyError, UntrustedError, ValidationError):
        return None


def _facts_for(stated: Stated, home: Home) -> Facts:
    """Return the facts of this machine; how containers get GPUs, only for a kit that wants some."""
    if stated.requirements.gpu is Gpu.NONE:
        return read_facts((home.root,))
    from mealkit.pipeline.machine.hosting import host_facts

    return host_facts(home)


def _described(files: Sequence[Path]) -> Mapping[str, Facts]:
    """Return the facts of machines by name, or by file where two have one name."""
    found = {path: _facts_of(path) for path in files}
    hosts = [facts.host for facts in found.values()]
    return {
        facts.host if facts.host and hosts.count(facts.host) == 1 else str(path): facts
        for path, facts in found.items()
    }


def _facts_of(path: Path) -> Facts:
    try:
        data = read_file(path, _MOST_FACTS_BYTES)
    except (UntrustedError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"it cannot be read: {reason}"
        raise failure("FACTS_INVALID", message, where=str(path)) from error
    return parse_facts(data, str(path))
