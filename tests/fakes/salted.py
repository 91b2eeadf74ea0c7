"""Reports of ``mealkit test --salt`` for tests of what is made of them."""

from collections.abc import Sequence

from mealkit.acceptance.report import (
    CaseResult,
    ClaimResult,
    KitUnderTest,
    MachineFacts,
    Report,
    Verdict,
)
from mealkit.acceptance.salt_report import (
    Baseline,
    ChangedValue,
    Outcome,
    SaltReport,
    baseline_of,
    effects_of,
)
from mealkit.recipe.claims import AskSimilarity, Claimed, Metric, Tolerance

CHANGE = ChangedValue(field="hyperparameters.pooling", pinned="mean", changed="cls")
_KIT = KitUnderTest(name="little", version="1.0.0", recipe="sha256:" + "0" * 64)

Result = ClaimResult | CaseResult


def claim_result(
    name: str,
    verdict: Verdict,
    measured: float | None,
    tolerance: dict[str, float] | None = None,
    metric: str = "spearman",
) -> ClaimResult:
    """The result of a claim of 0.82."""
    claim = Claimed(
        name=name,
        source="Table 2",
        data="pairs",
        ask=AskSimilarity(kind="similarity", first="a", second="b"),
        metric=Metric(metric),
        value=0.82,
        tolerance=Tolerance(**(tolerance or {"absolute": 0.01})),
    )
    return ClaimResult(claim=claim, verdict=verdict, reason="as is", measured=measured)


def report_of(*results: Result) -> Report:
    """A test's report with these results."""
    return Report(
        mealkit_version="1.2.3",
        kit=_KIT,
        machine=MachineFacts(),
        started_seconds=0,
        seconds=1,
        concurrency=4,
        claims=tuple(item for item in results if isinstance(item, ClaimResult)),
        cases=tuple(item for item in results if isinstance(item, CaseResult)),
    )


def pinned(*results: Result) -> tuple[Baseline, ...]:
    """The results of the kit as it is pinned."""
    return baseline_of(report_of(*results))


def outcome(
    before: Sequence[Result], after: Sequence[Result], change: ChangedValue = CHANGE
) -> Outcome:
    """What a change does."""
    return Outcome(change=change, effects=effects_of(pinned(*before), report_of(*after)), seconds=1)


def salt_report(before: Sequence[Result], *outcomes: Outcome) -> SaltReport:
    """The report of a whole run."""
    return SaltReport(
        mealkit_version="1.2.3",
        kit=_KIT,
        machine=MachineFacts(),
        started_seconds=0,
        baseline=pinned(*before),
        outcomes=outcomes,
    )
