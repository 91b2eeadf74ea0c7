"""What a check says of a machine: measured beside required, and what that means.

Only a certain misfit blocks; an estimate that does not hold, or a fact that cannot be read, warns.
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
    """What a finding means for the start."""

    PASSES = "passes"
    WARNS = "warns"
    BLOCKS = "blocks"
    OVERRIDDEN = "overridden"
    """It would forbid the start, and someone has said why it shall not."""


class Verdict(StrEnum):
    """What all findings together mean."""

    FITS = "fits"
    UNCERTAIN = "uncertain"
    DOES_NOT_FIT = "does-not-fit"


@dataclass(frozen=True, slots=True)
class Context:
    """What no fact about the machine says: the kit's engine, and where it is about to run."""

    engine: EngineTraits
    """What the engine is like."""
    disk_path: Path | None = None
    """The folder that the image or its weights are about to be written to; None: nothing is."""
    disk_bytes: int | None = None
    """How many bytes that will be; the requirement of the kit, if None."""
    starting: bool = False
    """Whether it is started now; else someone only asks, and may choose another port."""
    inside: bool = False
    """Whether this is the container itself, whose limits and devices are the facts'."""
    client: str | None = None
    """The container client that will be used; None: the first that works."""
    port: int | None = None
    """The port on the machine; None: none, or any free one."""
    port_is_free: bool | None = None
    """Whether that port can be listened on; None: not known."""
    clock_seconds: float | None = None
    """What the machine's clock says, since 1970; None: not known."""
    closed_devices: Mapping[str, str] = field(default_factory=dict)
    """Device files that this process may not use, and why."""
    closed_folders: Mapping[str, str] = field(default_factory=dict)
    """Folders that must be written to and cannot be, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    code: str
    """The catalogue's code of the misfit that the check looks for."""
    severity: Severity
    measured: str
    required: str
    message: str
    fix: str | None = None
    """A command or an edit; the catalogue's, if None."""
    rule: str = ""
    """What the check compares with what."""
    source: str = ""
    """Where the rule is written down; empty: where the check says."""
    reason: str | None = None
    """Why it was overridden."""

    @property
    def owner(self) -> Owner:
        """Who can make the misfit go away."""
        return CATALOGUE[self.code].owner

    @property
    def remedy(self) -> str:
        """What to do."""
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
    """What is compared with what, in a sentence."""
    source: str
    """Where the rule is written down."""
    look: Callable[[Facts, Requirements, Context], Finding | None]
    """Says what is found; None: the rule does not apply."""
    of_gpus: bool = True
    """Whether it is about GPUs, which a kit may not use, or do without."""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one preflight."""

    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """The worst finding decides."""
        found = {finding.severity for finding in self.findings}
        if Severity.BLOCKS in found:
            return Verdict.DOES_NOT_FIT
        doubts = {Severity.WARNS, Severity.OVERRIDDEN}
        return Verdict.UNCERTAIN if doubts & found else Verdict.FITS

    @property
    def deciding(self) -> Finding | None:
        """The first of the findings that decide the verdict; None if everything fits."""
        for severity in (Severity.BLOCKS, Severity.OVERRIDDEN, Severity.WARNS):
            for finding in self.findings:
                if finding.severity is severity:
                    return finding
        return None

    @property
    def blockers(self) -> list[Problem]:
        """The problems that forbid the start; empty unless the verdict is does-not-fit."""
        return [item.problem for item in self.findings if item.severity is Severity.BLOCKS]

    @property
    def overridden(self) -> list[Finding]:
        """The findings that would block, and were overridden."""
        return [item for item in self.findings if item.severity is Severity.OVERRIDDEN]

    @property
    def warnings(self) -> list[Problem]:
        """The problems that may turn up later."""
        return [item.problem for item in self.findings if item.severity is Severity.WARNS]

    def as_json(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "verdict": self.verdict.value,
            "findings": [finding.as_json() for finding in self.findings],
        }
