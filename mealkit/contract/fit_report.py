"""What `mealkit fit` found out about data: the form that the pages, JSON and the command line show.

Examples quote values, so a report is as confidential as the data. A profile is not.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mealkit.contract.population_drift import FieldDrift
from mealkit.recipe.data_contract import Action, DataContract
from mealkit.recipe.data_profile import DataProfile


@dataclass(frozen=True, slots=True)
class FileFault:
    """Something in a file that cannot be read as a request."""

    file: str
    line: int | None
    """The line, or the row of a Parquet file, from 1; None for the whole file."""
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file that was read."""

    path: str
    format: str
    """jsonl, csv, parquet or text."""
    bytes: int
    rows: int
    """The rows that were checked."""
    unreadable: int
    """The rows that could not be read."""


@dataclass(frozen=True, slots=True)
class Example:
    """A value that breaks a rule, and where it is."""

    file: str
    line: int
    field: str
    value: str
    measured: str


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How often one rule of one input is broken."""

    name: str
    """The input."""
    rule: str
    action: Action
    required: str
    code: str
    rows: int
    """The requests that break the rule at least once."""
    examples: tuple[Example, ...]
    """The first ones."""


@dataclass(frozen=True, slots=True)
class LengthLimit:
    """How long the texts of an input may be, by the contract."""

    name: str
    """The input."""
    measure: Literal["characters", "tokens"]
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True, slots=True)
class FitReport:
    """The data of some files, compared with a kit's contract."""

    kit: str
    """NAME:VERSION."""
    files: tuple[FileFacts, ...]
    rows: int
    refused: int
    """The rows that would be refused, each as one request."""
    warned: int
    """The rows that would be answered with a warning."""
    unreadable: int
    findings: tuple[FileFault, ...]
    """The first ones."""
    rules: tuple[RuleResult, ...]
    """The rules that are broken, the most frequent first."""
    unchecked: tuple[str, ...]
    """The rules that were not checked, because a tool for them is missing."""
    limits: tuple[LengthLimit, ...]
    """The contract's limits of lengths."""
    repeated: int
    """The rows whose texts are exactly those of an earlier row."""
    profile: DataProfile
    """The statistics of these files: lengths, tokens, numbers, languages, missing values."""
    reference: DataProfile | None
    """The profile of the data that the kit was made for."""
    drift: tuple[FieldDrift, ...]
    """The differences between the two."""
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether every row was read, and no row would be refused."""
        return not (self.refused or self.unreadable)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        profiles = {
            "profile": self.profile.model_dump(mode="json"),
            "reference": self.reference.model_dump(mode="json") if self.reference else None,
        }
        form = asdict(replace(self, reference=None))
        return {"version": 1, "fits": self.fits, **form, **profiles}


def limits_of(contract: DataContract) -> tuple[LengthLimit, ...]:
    """Return the limits of lengths that a contract has, in the order of its inputs."""
    stated = (
        (name, rules.length) for name, rules in contract.inputs.items() if rules.length is not None
    )
    limits = (
        limit
        for name, rule in stated
        for limit in (
            LengthLimit(name, "characters", rule.minimum_characters, rule.maximum_characters),
            LengthLimit(name, "tokens", rule.minimum_tokens, rule.maximum_tokens),
        )
    )
    return tuple(item for item in limits if (item.minimum, item.maximum) != (None, None))
