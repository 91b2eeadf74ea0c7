"""The preflight: compares a kit's stated requirements with this machine, or with others."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mealkit.errors import CATALOGUE, failure, failures, problem
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.stated_needs import Stated, bytes_to_write, open_recipe, stated_by
from mealkit.preflight.cpu import architecture
from mealkit.preflight.facts import Facts, parse_facts, read_facts
from mealkit.preflight.finding import Context, Report, Severity, Verdict
from mealkit.preflight.here import closed_devices, closed_folders, port_is_free
from mealkit.preflight.override import apply
from mealkit.preflight.run import preflight
from mealkit.progress import SILENT, Progress
from mealkit.recipe.kit import Contact, Gpu
from mealkit.untrusted import UntrustedError, read_file

_MOST_FACTS_BYTES = 4 * 1024 * 1024
_BEST_FIRST = (Verdict.FITS, Verdict.UNCERTAIN, Verdict.DOES_NOT_FIT)


@dataclass(frozen=True, slots=True)
class PreflightRequest:
    """The options: the kit, the machines (this one if empty), and how the kit is started."""

    target: str
    hosts: tuple[Path, ...] = ()
    """Files with the facts of other machines."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Reasons, by the code of a blocking finding."""
    allowed: tuple[Path, ...] = ()
    """Folders that may contain the kit's files, besides its own folder."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and its findings."""

    name: str
    report: Report


@dataclass(frozen=True, slots=True)
class PreflightAnswer:
    """The findings of every machine."""

    name: str
    owner: Contact | None
    machines: tuple[Machine, ...]

    @property
    def verdict(self) -> Verdict:
        """The best verdict of all machines."""
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
    """How a kit will be started, as far as it matters for the preflight."""

    client: str | None = None
    address: str = "127.0.0.1"
    port: int | None = None
    """The requested port; 0 for any, None for the kit's."""
    embedded: bool = False
    """Whether the weights are also copied into the client's store."""


def preflight_target(
    request: PreflightRequest, home: Home, progress: Progress = SILENT
) -> PreflightAnswer:
    """Compare a kit, a lock or an image with machines; fetch at most manifests.

    Raises:
        PreflightError: a file contains no facts (``FACTS_INVALID``).
        MealkitError: the kit cannot be read, or states no requirements.
    """
    recipe = open_recipe(request.target, home, request.allowed, progress)
    if not request.hosts:
        found = stated_by(recipe, architecture(), home, progress)
        facts = _facts_for(found, home)
        report = preflight(facts, found.requirements, here_context(found, facts, home, Start()))
        machine = Machine(facts.host, apply(report, request.overrides))
        return PreflightAnswer(found.name, found.owner, (machine,))
    described = _described(request.hosts)
    kinds = dict.fromkeys(facts.architecture for facts in described.values())
    stated = {kind: stated_by(recipe, kind, home, progress) for kind in kinds}
    machines = tuple(
        Machine(
            name,
            apply(preflight(facts, found.requirements, Context(found.engine)), request.overrides),
        )
        for name, facts in described.items()
        for found in (stated[facts.architecture],)
    )
    first = next(iter(stated.values()))
    return PreflightAnswer(first.name, first.owner, tuple(machines))


def here_context(stated: Stated, facts: Facts, home: Home, start: Start) -> Context:
    """Return how a kit would run on this machine; tries its port, folders and devices."""
    requirements = stated.requirements
    working = (item.name for item in facts.clients if not item.problem)
    client = start.client or next(working, None)
    port = requirements.port if start.port is None else start.port
    return Context(
        stated.engine,
        disk_path=home.root,
        disk_bytes=bytes_to_write(stated, embedded=start.embedded),
        client=client,
        port=port or None,
        port_is_free=port_is_free(start.address, port) if port else None,
        clock_seconds=time.time(),
        # The clients docker and podman give their containers the devices.
        closed_devices=closed_devices() if client == "sandbox" else {},
        closed_folders=closed_folders((home.root,)),
    )


def check_start(
    stated: Stated, context: Context, facts: Facts, overrides: Mapping[str, str], progress: Progress
) -> None:
    """Raise if the kit does not fit; report doubts and overridden findings as warnings.

    Raises:
        PreflightError, ContainerError, StoreError: all blocking findings at once.
    """
    starting = replace(context, starting=True)
    report = apply(preflight(facts, stated.requirements, starting), overrides)
    for finding in report.findings:
        if finding.severity is Severity.OVERRIDDEN:
            progress.notice(
                replace(finding.problem, message=f"{finding.message}, overridden: {finding.reason}")
            )
    if report.blockers:
        raise failures(report.blockers)
    for warning in report.warnings:
        progress.notice(warning)
    for code in sorted(set(overrides) - {finding.code for finding in report.overridden}):
        message = (
            "no check with this code blocks here; the override is still stored with the container"
        )
        progress.notice(problem(code, message, hint=CATALOGUE[code].fix))


def _facts_for(stated: Stated, home: Home) -> Facts:
    """Return the facts of this machine; those about clients only if the kit uses GPUs."""
    if stated.requirements.gpu is Gpu.NONE:
        return read_facts((home.root,))
    from mealkit.pipeline.machine.machine_facts import host_facts

    return host_facts(home)


def _described(files: Sequence[Path]) -> Mapping[str, Facts]:
    """Return the facts of machines by name, or by file if two have the same name."""
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
        message = f"the file cannot be read: {reason}"
        raise failure("FACTS_INVALID", message, where=str(path)) from error
    return parse_facts(data, str(path))
