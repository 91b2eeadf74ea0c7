"""The result of a test of a kit, as values: what was claimed, measured and judged, and where.

It is written as JSON, read again (for reports, statements and comparisons), and travels signed. So
its models accept what other writers may say only within bounds.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, ValidationError

from mealkit.errors import Owner, failure
from mealkit.recipe.claims import Claimed
from mealkit.recipe.kit import Contact
from mealkit.recipe.lock import first_fault
from mealkit.strings import Line, MaybeLine, Name

MAX_REPORT_BYTES = 64 * 1024 * 1024
"""The largest report that is read."""
MAX_SAMPLES = 20
"""The most rows of a claim, or faults of a case, that a report contains."""
Moment = Annotated[FiniteFloat, Field(ge=0, le=253402300799)]
"""Seconds since 1970, until the year 9999: the last one that Python's dates have."""

Shown = Annotated[str, Field(max_length=4000)]
"""A text of others, shortened for a reader."""


class ReportValue(BaseModel):
    """The base of all parts of a result: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Verdict(StrEnum):
    """What a test says about a claim or a case."""

    HOLDS = "holds"
    """It was measured, and is within the tolerance."""
    FAILS = "fails"
    """It was measured, and is not."""
    NOT_JUDGED = "not judged"
    """It could not be measured, or not on this class of hardware; the reason says why."""


class Sample(ReportValue):
    """One row of a claim's data for a reader of the report: the worst ones are kept."""

    row: Annotated[int, Field(ge=1)]
    """The row's number in its file, from 1."""
    asked: Shown
    """What was asked, shortened."""
    expected: Shown
    """The right answer, shortened."""
    answered: Shown
    """The kit's answer, or the problem that came instead, shortened."""
    score: FiniteFloat | None = None
    """The row's own score, where the metric has one."""


class SliceResult(ReportValue):
    """A claim's value on the rows with one value of one column."""

    column: Line
    value: MaybeLine
    rows: Annotated[int, Field(ge=0)]
    measured: FiniteFloat | None


class Latencies(ReportValue):
    """How long the answers took, in seconds."""

    requests: Annotated[int, Field(ge=0)]
    p50_seconds: FiniteFloat
    p95_seconds: FiniteFloat
    p99_seconds: FiniteFloat
    histogram: tuple[tuple[FiniteFloat, int], ...] = ()
    """Upper bounds in seconds, and how many answers took at most that and longer than the bound
    before."""


class ClaimResult(ReportValue):
    """What a test says about one claim."""

    claim: Claimed
    """The claim, as the lock has it."""
    verdict: Verdict
    reason: Shown
    """Why, in a sentence with the numbers."""
    owner: Owner | None = None
    """Who has to act if it fails: the kit's author, or the owner of what stood in the way."""
    measured: FiniteFloat | None = None
    interval: tuple[FiniteFloat, FiniteFloat] | None = None
    """The 95 % interval of the measured value, by bootstrap over the rows."""
    spread: tuple[FiniteFloat, ...] = ()
    """The value with each seed, if the claim names seeds."""
    rows: Annotated[int, Field(ge=0)] = 0
    """How many rows were asked."""
    refused: Annotated[int, Field(ge=0)] = 0
    """How many of them the kit did not answer; they count as wrong."""
    problems: dict[Line, int] = Field(default_factory=dict)
    """The codes of the problems that came instead of answers, and how often."""
    slices: tuple[SliceResult, ...] = ()
    scores: tuple[FiniteFloat, ...] = ()
    """The rows' own scores in the order of the rows, where the metric has them and for at most
    10,000 rows."""
    latencies: Latencies | None = None
    samples: Annotated[tuple[Sample, ...], Field(max_length=MAX_SAMPLES)] = ()
    """The rows with the worst scores."""


class CaseFault(ReportValue):
    """One expectation that an answer does not meet."""

    at: MaybeLine
    """Where in the answer, as a JSON Pointer."""
    expected: Shown
    answered: Shown


class CaseResult(ReportValue):
    """What a test says about one case."""

    name: Name
    verdict: Verdict
    reason: Shown
    owner: Owner | None = None
    seconds: FiniteFloat | None = None
    faults: Annotated[tuple[CaseFault, ...], Field(max_length=MAX_SAMPLES)] = ()


class MachineFacts(ReportValue):
    """The machine that the tested kit runs on, as far as it is known."""

    processor: MaybeLine | None = None
    cores: Annotated[int, Field(ge=1)] | None = None
    memory_bytes: Annotated[int, Field(ge=0)] | None = None
    gpus: tuple[Line, ...] = ()
    driver: MaybeLine | None = None
    system: MaybeLine | None = None


class KitUnderTest(ReportValue):
    """Which kit was tested."""

    name: Name
    version: Line
    recipe: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    image: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """The digest of the image, where it is known."""
    cases: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """The digest of all cases of the kit, as its lock has them."""
    address: MaybeLine | None = None
    """The address that was asked, if the kit already ran there; without credentials."""
    owner: Contact | None = None
    """The team that owns the kit, so that a reader of the report knows whom to ask."""


class Report(ReportValue):
    """The result of one run of ``mealkit test``."""

    report_version: Literal["mealkit.test/v1"] = "mealkit.test/v1"
    mealkit_version: Line
    kit: KitUnderTest
    machine: MachineFacts
    started_seconds: Moment
    """When the test began, in seconds since 1970."""
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    """How long it took."""
    start_seconds: FiniteFloat | None = None
    """How long the kit needed until it was ready, if the test started it."""
    concurrency: Annotated[int, Field(ge=1)]
    """How many requests were asked at a time."""
    claims: tuple[ClaimResult, ...] = ()
    cases: tuple[CaseResult, ...] = ()
    datasets: dict[Line, str] = Field(default_factory=dict)
    """The digest of each file of data that was read, by its path."""
    libraries: dict[Line, Line] = Field(default_factory=dict)
    """The versions of the libraries that computed the metrics."""
    notes: tuple[JsonValue, ...] = ()
    """Further remarks of the tester, for example what was sampled."""

    @property
    def failed(self) -> tuple[ClaimResult | CaseResult, ...]:
        """What was measured and does not hold."""
        every: tuple[ClaimResult | CaseResult, ...] = (*self.cases, *self.claims)
        return tuple(item for item in every if item.verdict is Verdict.FAILS)

    def as_json(self) -> bytes:
        """Return it as JSON, in UTF-8."""
        return self.model_dump_json(by_alias=True, indent=2).encode() + b"\n"

    @classmethod
    def read(cls, data: bytes, where: str) -> Self:
        """Read a report from an untrusted source.

        Raises:
            AcceptanceError: ``TEST_REPORT_INVALID``.
        """
        try:
            if len(data) > MAX_REPORT_BYTES:
                raise failure(
                    "TEST_REPORT_INVALID",
                    "the report is too large",
                    where=where,
                    measured=f"{len(data)} bytes",
                    required=f"at most {MAX_REPORT_BYTES}",
                )
            return cls.model_validate_json(data)
        except ValidationError as error:
            message = f"the file is not a test's report: {first_fault(error)}"
            raise failure("TEST_REPORT_INVALID", message, where=where) from error
