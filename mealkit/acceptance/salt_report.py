"""The result of ``mealkit test --salt`` as values: which pinned values matter to which claims.

One pinned value is changed at a time. It is written as JSON, and read again for pages.
"""

import json
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, JsonValue, ValidationError

from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.report import (
    ClaimResult,
    KitUnderTest,
    MachineFacts,
    Moment,
    Report,
    ReportValue,
    Shown,
    Verdict,
)
from mealkit.errors import Owner, failure
from mealkit.recipe.claims import Metric, Tolerance
from mealkit.recipe.lock import first_fault
from mealkit.strings import Line, MaybeLine
from mealkit.untrusted import UntrustedError, parse_json_object

MAX_SALT_REPORT_BYTES = 16 * 1024 * 1024
"""The largest report that is read."""
_SUMMARY = "summary"


class Kind(StrEnum):
    """What a pinned value was tested with."""

    CLAIM = "claim"
    CASE = "case"


class ChangedValue(ReportValue):
    """A pinned value, and the other one that it was changed to."""

    field: MaybeLine
    """Its path in kit.yaml, such as ``hyperparameters.pooling``."""
    pinned: JsonValue
    changed: JsonValue
    together: dict[Line, JsonValue] = Field(default_factory=dict)
    """Other values that had to change with it, by their paths."""
    spoils: bool = True
    """Whether the kit is worse with this value. With another seed, or version of a package, it
    should be as good."""


class LeftValue(ReportValue):
    """A pinned value that was not changed."""

    field: MaybeLine
    reason: Shown


class Baseline(ReportValue):
    """A claim or a case with the kit as it is pinned."""

    name: Line
    kind: Kind
    verdict: Verdict
    metric: Metric | None = None
    """None for a case."""
    measured: FiniteFloat | None = None
    tolerance: Tolerance | None = None
    value: FiniteFloat | None = None
    """The claimed value."""

    @property
    def is_speed(self) -> bool:
        """Whether it is about speed or memory: its value differs from run to run anyway."""
        return self.metric is not None and METRICS[self.metric].is_speed


class Effect(ReportValue):
    """A claim or a case with one changed value."""

    name: Line
    kind: Kind
    verdict: Verdict
    measured: FiniteFloat | None = None
    difference: FiniteFloat | None = None
    """The measured value less the one that was measured with the pinned value."""
    refused: Annotated[int, Field(ge=0)] = 0
    """How many of its questions the kit did not answer."""
    notices: bool
    """Whether the difference is larger than the claim's tolerance, or the case fails."""


class Refusal(ReportValue):
    """Why a kit with a changed value could not be tested: it was not built, or did not start."""

    code: Line
    message: Shown
    owner: Owner


class Outcome(ReportValue):
    """One changed value, and what it did to each claim and case."""

    change: ChangedValue
    effects: tuple[Effect, ...] = ()
    refusal: Refusal | None = None
    """Set if the kit could not be tested; there are no effects then."""
    seconds: FiniteFloat = 0.0

    @property
    def noticed_by(self) -> tuple[str, ...]:
        """The names of the claims and cases that notice the change."""
        return tuple(effect.name for effect in self.effects if effect.notices)


class SaltReport(ReportValue):
    """What each pinned value does to the claims and cases of a kit."""

    report_version: Literal["mealkit.salt/v1"] = "mealkit.salt/v1"
    mealkit_version: Line
    kit: KitUnderTest
    machine: MachineFacts
    started_seconds: Moment
    """When it began, in seconds since 1970."""
    baseline: tuple[Baseline, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    left: tuple[LeftValue, ...] = ()
    """The values that were not changed, each with the reason."""

    @property
    def weak(self) -> tuple[str, ...]:
        """The claims and cases that none of the changes moves: they would not notice a broken kit.

        Claims of speed are not among them: they are not about the answers. Nor is a claim that was
        not measured, or anything if no kit was tested that the change makes another one.
        """
        spoiled = [item for item in self.outcomes if item.effects and item.change.spoils]
        if not spoiled:
            return ()
        noticing = {name for outcome in spoiled for name in outcome.noticed_by}
        return tuple(
            item.name
            for item in self.baseline
            if item.name not in noticing
            and not item.is_speed
            and (item.verdict is not Verdict.NOT_JUDGED or item.measured is not None)
        )

    @property
    def failing(self) -> tuple[str, ...]:
        """The claims and cases that fail with the kit as it is pinned."""
        return tuple(item.name for item in self.baseline if item.verdict is Verdict.FAILS)

    @property
    def unmeasured(self) -> tuple[ChangedValue, ...]:
        """The values that can be changed without any claim or case noticing it."""
        return tuple(
            outcome.change
            for outcome in self.outcomes
            if outcome.refusal is None and outcome.change.spoils and not outcome.noticed_by
        )

    @property
    def unsteady(self) -> tuple[str, ...]:
        """The claims and cases that notice a change that should not matter, such as a seed."""
        steady = [item for item in self.outcomes if not item.change.spoils]
        return tuple(dict.fromkeys(name for outcome in steady for name in outcome.noticed_by))

    def as_json(self) -> bytes:
        """Return it as JSON, in UTF-8, with the values that follow from the effects."""
        form = self.model_dump(mode="json", by_alias=True)
        form[_SUMMARY] = {
            "weak": self.weak,
            "failing": self.failing,
            "unsteady": self.unsteady,
            "unmeasured": [change.field for change in self.unmeasured],
        }
        return json.dumps(form, indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, data: bytes, where: str) -> Self:
        """Read a report from an untrusted source.

        Raises:
            AcceptanceError: ``TEST_REPORT_INVALID``.
        """
        try:
            if len(data) > MAX_SALT_REPORT_BYTES:
                raise UntrustedError(f"it is larger than {MAX_SALT_REPORT_BYTES} bytes")  # noqa: TRY301
            form = parse_json_object(data)
            form.pop(_SUMMARY, None)
            return cls.model_validate_json(json.dumps(form))
        except (UntrustedError, ValidationError) as error:
            fault = str(error) if isinstance(error, UntrustedError) else first_fault(error)
            message = f"the file is not a report of mealkit test --salt: {fault}"
            raise failure("TEST_REPORT_INVALID", message, where=where) from error


def baseline_of(report: Report) -> tuple[Baseline, ...]:
    """Return what a test of the kit as it is pinned says about each claim and case."""
    claims = (
        Baseline(
            name=item.claim.name,
            kind=Kind.CLAIM,
            verdict=item.verdict,
            metric=item.claim.metric,
            measured=item.measured,
            tolerance=item.claim.tolerance,
            value=item.claim.value,
        )
        for item in report.claims
    )
    cases = (
        Baseline(name=item.name, kind=Kind.CASE, verdict=item.verdict) for item in report.cases
    )
    return (*claims, *cases)


def effects_of(baseline: Sequence[Baseline], report: Report) -> tuple[Effect, ...]:
    """Return what a test of a changed kit says about the same claims and cases."""
    claims = {item.claim.name: item for item in report.claims}
    cases = {item.name: item for item in report.cases}
    found = []
    for before in baseline:
        if before.kind is Kind.CLAIM and (claim := claims.get(before.name)):
            found.append(_claim_effect(before, claim))
        elif before.kind is Kind.CASE and (case := cases.get(before.name)):
            fails = case.verdict is Verdict.FAILS and before.verdict is not Verdict.FAILS
            effect = Effect(name=before.name, kind=Kind.CASE, verdict=case.verdict, notices=fails)
            found.append(effect)
    return tuple(found)


def _claim_effect(before: Baseline, after: ClaimResult) -> Effect:
    difference = None
    if before.measured is not None and after.measured is not None:
        difference = after.measured - before.measured
    fails = after.verdict is Verdict.FAILS and before.verdict is not Verdict.FAILS
    moves = difference is not None and abs(difference) > _allowed(before)
    return Effect(
        name=before.name,
        kind=Kind.CLAIM,
        verdict=after.verdict,
        measured=after.measured,
        difference=difference,
        refused=after.refused,
        # A claim that fails already, or is not judged on this hardware, can only move. A speed
        # differs from run to run, whatever is changed.
        notices=not before.is_speed and (fails or (before.verdict is not Verdict.HOLDS and moves)),
    )


def _allowed(claim: Baseline) -> float:
    """Return the difference that a claim's tolerance allows; infinity for half an interval."""
    tolerance = claim.tolerance
    if tolerance is None:
        return math.inf
    if tolerance.absolute is not None:
        return tolerance.absolute
    if tolerance.relative is not None:
        return tolerance.relative * abs(claim.value or 0.0)
    if tolerance.minimum is None or tolerance.maximum is None:
        return math.inf
    return tolerance.maximum - tolerance.minimum
