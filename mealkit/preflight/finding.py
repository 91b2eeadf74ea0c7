"""The results of checks: the measured and the required value, and what they mean.

Only a certain misfit blocks; an estimate that is exceeded, or an unreadable fact, warns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mealkit.errors import CATALOGUE, Owner, Problem, problem
from mealkit.preflight.facts import Facts
from mealkit.recipe.requirements import Requirements
from mealkit.recipe.traits import EngineTraits


class Severity(StrEnum):
    """The effect of a finding on the start."""

    PASSES = "passes"
    WARNS = "warns"
    BLOCKS = "blocks"
    OVERRIDDEN = "overridden"
    """It would block the start, but was overridden with a reason."""


class Verdict(StrEnum):
    """The result of all findings together."""

    FITS = "fits"
    UNCERTAIN = "uncertain"
    DOES_NOT_FIT = "does-not-fit"


@dataclass(frozen=True, slots=True)
class Context:
    """What the facts do not contain: the kit's engine, and how it is about to run."""

    engine: EngineTraits
    """The traits of the engine."""
    disk_path: Path | None = None
    """The folder to which the image or its weights will be written; None: nothing is written."""
    disk_bytes: int | None = None
    """The number of bytes to write; None: the kit's requirement."""
    starting: bool = False
    """Whether the kit is being started; if not, another port can still be chosen."""
    inside: bool = False
    """Whether this process is in the container, so that the facts are the container's own."""
    client: str | None = None
    """The container client that will be used; None: the first one that works."""
    port: int | None = None
    """The port on the machine; None: no port, or any free one."""
    port_is_free: bool | None = None
    """Whether the port is free; None: unknown."""
    clock_seconds: float | None = None
    """The machine's clock, in seconds since 1970; None: unknown."""
    closed_devices: Mapping[str, str] = field(default_factory=dict)
    """The device files that this process may not use, with the reason."""
    closed_folders: Mapping[str, str] = field(default_factory=dict)
    """The folders that must be writable but are not, with the reason."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    code: str
    """The catalogue's code for the misfit that the check detects."""
    severity: Severity
    measured: str
    required: str
    message: str
    fix: str | None = None
    """A command or an edit; None: the catalogue's."""
    rule: str = ""
    """The rule of the check, in a sentence."""
    source: str = ""
    """Where the rule is documented; empty: the check's own source."""
    reason: str | None = None
    """The reason for the override."""

    @property
    def owner(self) -> Owner:
        """The owner of the misfit."""
        return CATALOGUE[self.code].owner

    @property
    def remedy(self) -> str:
        """What to do about the misfit."""
        return self.fix or CATALOGUE[self.code].fix

    @property
    def problem(self) -> Problem:
        """The finding as a problem."""
        return problem(
            self.code,
            self.message,
            hint=self.fix,
            measured=self.measured,
            required=self.required,
        )

    def as_json(self) -> dict[str, str]:
        """Return the JSON form."""
        form = {
            "code": self.code,
            "owner": self.owner.value,
            "severity": self.severity.value,
            "measured": self.measured,
            "required": self.required,
            "message": self.message,
            "fix": self.remedy,
            "rule": self.rule,
            "source": self.source,
        }
        return form if self.reason is None else {**form, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the preflight's table."""

    code: str
    """The catalogue's code, which names the owner and the usual fix."""
    rule: str
    """The rule that is checked, in a sentence."""
    source: str
    """Where the rule is documented."""
    look: Callable[[Facts, Requirements, Context], Finding | None]
    """Returns the finding; None: the rule does not apply."""
    of_gpus: bool = True
    """Whether it is about GPUs, which a kit may not use or need."""
    of_caches: bool = False
    """Whether it is also about the cache that an engine on processors reserves."""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one preflight."""

    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """The verdict of the worst finding."""
        found = {finding.severity for finding in self.findings}
        if Severity.BLOCKS in found:
            return Verdict.DOES_NOT_FIT
        doubts = {Severity.WARNS, Severity.OVERRIDDEN}
        return Verdict.UNCERTAIN if doubts & found else Verdict.FITS

    @property
    def deciding(self) -> Finding | None:
        """The first of the findings that determine the verdict; None if everything fits."""
        for severity in (Severity.BLOCKS, Severity.OVERRIDDEN, Severity.WARNS):
            for finding in self.findings:
                if finding.severity is severity:
                    return finding
        return None

    @property
    def blockers(self) -> list[Problem]:
        """The problems that block the start; empty unless the verdict is does-not-fit."""
        return [item.problem for item in self.findings if item.severity is Severity.BLOCKS]

    @property
    def overridden(self) -> list[Finding]:
        """The blocking findings that were overridden."""
        return [item for item in self.findings if item.severity is Severity.OVERRIDDEN]

    @property
    def warnings(self) -> list[Problem]:
        """The problems that may occur later."""
        return [item.problem for item in self.findings if item.severity is Severity.WARNS]

    def as_json(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "verdict": self.verdict.value,
            "findings": [finding.as_json() for finding in self.findings],
        }
