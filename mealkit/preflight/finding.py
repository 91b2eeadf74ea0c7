"""What a check says of a machine: measured beside required, and what that means.

Only a certain misfit blocks; an estimate that does not hold, or a fact that cannot be read, warns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mealkit.errors import CATALOGUE, Owner, Problem, problem


class Severity(StrEnum):
    """What a finding means for the start."""

    PASSES = "passes"
    WARNS = "warns"
    BLOCKS = "blocks"


class Verdict(StrEnum):
    """What all findings together mean."""

    FITS = "fits"
    UNCERTAIN = "uncertain"
    DOES_NOT_FIT = "does-not-fit"


@dataclass(frozen=True, slots=True)
class Context:
    """Where the kit is about to run, as far as a check must know."""

    disk_path: Path | None = None
    """The folder that the image or its weights are about to be written to; None: nothing is."""
    disk_bytes: int | None = None
    """How many bytes that will be; the requirement of the kit, if None."""


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

    @property
    def owner(self) -> Owner:
        """Who can make the misfit go away."""
        return CATALOGUE[self.code].owner

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
        return {
            "code": self.code,
            "owner": self.owner.value,
            "severity": self.severity.value,
            "measured": self.measured,
            "required": self.required,
            "message": self.message,
            "fix": self.fix or CATALOGUE[self.code].fix,
        }


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
        return Verdict.UNCERTAIN if Severity.WARNS in found else Verdict.FITS

    @property
    def blockers(self) -> list[Problem]:
        """The problems that forbid the start; empty unless the verdict is does-not-fit."""
        return [item.problem for item in self.findings if item.severity is Severity.BLOCKS]

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
