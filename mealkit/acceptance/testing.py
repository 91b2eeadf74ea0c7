"""Tests a running kit: asks its cases and its claims' data, and writes the report."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mealkit import __version__
from mealkit.acceptance.asking import Asking
from mealkit.acceptance.case_checks import case_question, case_result
from mealkit.acceptance.kit_client import described
from mealkit.acceptance.measuring_claims import ClaimTests
from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.packages import needed, versions
from mealkit.acceptance.report import (
    CaseResult,
    ClaimResult,
    KitUnderTest,
    Report,
    Verdict,
)
from mealkit.acceptance.target import (
    DEFAULT_CONCURRENCY,
    SilentListener,
    Target,
    TestListener,
    TestOptions,
)
from mealkit.errors import failure
from mealkit.recipe.cases import cases_digest
from mealkit.recipe.claims import AskRetrieval, Claimed
from mealkit.recipe.lock import Lock
from mealkit.recipe.variant import plain_locks
from mealkit.untrusted import shown

_DESCRIBE_SECONDS = 30.0
# What each library is imported as.
_MODULES = {
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "sacrebleu": "sacrebleu",
    "rouge-score": "rouge_score",
    "jiwer": "jiwer",
}


def run_tests(
    lock: Lock,
    target: Target,
    datasets: Mapping[str, Path],
    options: TestOptions,
    listener: TestListener | None = None,
) -> Report:
    """Test a running kit, and return the report; nothing is raised because a claim fails.

    ``datasets`` has the verified file for each path of the lock's data sets that is here.

    Raises:
        AcceptanceError: the kit cannot be reached (``TEST_UNREACHABLE``) or has another recipe
            (``TEST_OTHER_RECIPE``); there is nothing to test, or a claim's data or libraries are
            not as they have to be (see errors.py for the other codes that begin with ``TEST_``).
    """
    listener = listener or SilentListener()
    claims = chosen_claims(lock, options)
    require_libraries(claims)
    started, began = time.time(), time.monotonic()
    about = described(target, min(_DESCRIBE_SECONDS, options.timeout_seconds))
    lock = _of_recipe(lock, about, target)
    recipe = str(about["recipe"])
    target = replace(target, recipe=recipe)
    cases = () if options.claims else _cases(lock, target, options, listener)
    tests = ClaimTests(lock, target, datasets, options, listener)
    results = tests.results(claims)
    return Report(
        mealkit_version=__version__,
        kit=KitUnderTest(
            name=lock.about.name,
            version=lock.about.version,
            recipe=recipe,
            image=target.image or _digest(about.get("image")),
            cases=cases_digest(lock.cases, lock.case_files),
            address=None if target.is_started_here else target.address,
            owner=lock.about.owner,
        ),
        machine=target.machine,
        started_seconds=started,
        seconds=time.monotonic() - began,
        start_seconds=target.start_seconds,
        concurrency=options.concurrency or DEFAULT_CONCURRENCY,
        claims=results,
        cases=cases,
        datasets=tests.digests,
        libraries=versions(_packages(claims)),
        notes=tuple(tests.notes),
    )


def chosen_claims(lock: Lock, options: TestOptions) -> tuple[Claimed, ...]:
    """Return the claims to test, in the lock's order.

    Raises:
        AcceptanceError: ``TEST_NAME_UNKNOWN`` or ``TEST_NOTHING``.
    """
    known = [claim.name for claim in lock.claims]
    for name in options.claims:
        if name not in known:
            has = ", ".join(known) or "none"
            message = f"{lock.about.name} has no claim {shown(name)}; it has: {has}"
            raise failure("TEST_NAME_UNKNOWN", message)
    if not lock.claims and not lock.cases:
        raise failure("TEST_NOTHING", f"{lock.about.name} states neither claims nor cases")
    if options.cases_only:
        return ()
    wanted = options.claims or known
    return tuple(claim for claim in lock.claims if claim.name in wanted)


def with_needed_data(lock: Lock, options: TestOptions) -> Lock:
    """Return the lock with those data sets alone that the claims to test ask about."""
    names: set[str] = set()
    for claim in chosen_claims(lock, options):
        corpus = claim.ask.corpus if isinstance(claim.ask, AskRetrieval) else ""
        names |= {(claim.data or "").partition("/")[0], corpus.partition("/")[0]}
    datasets = {name: item for name, item in lock.datasets.items() if name in names}
    return lock.model_copy(update={"datasets": datasets})


def require_libraries(claims: Iterable[Claimed]) -> None:
    """Import what the metrics of claims need, before anything is started for them.

    Raises:
        AcceptanceError: ``TEST_PACKAGE_MISSING``.
    """
    for package in _packages(claims):
        needed(_MODULES[package])


def _packages(claims: Iterable[Claimed]) -> list[str]:
    measured = [METRICS[claim.metric] for claim in claims if claim.data is not None]
    qualities = [traits for traits in measured if not traits.is_speed]
    found = {package for traits in qualities for package in traits.packages}
    return sorted(found | {"scipy"} if qualities else found)


def unjudged(report: Report) -> Sequence[ClaimResult | CaseResult]:
    """Return what a test could not judge."""
    every: tuple[ClaimResult | CaseResult, ...] = (*report.cases, *report.claims)
    return [item for item in every if item.verdict is Verdict.NOT_JUDGED]


def _of_recipe(lock: Lock, about: Mapping[str, Any], target: Target) -> Lock:
    """Return the plain lock that a running kit has.

    Raises:
        AcceptanceError: ``TEST_OTHER_RECIPE``.
    """
    stated = about.get("recipe")
    if target.recipe is not None and target.recipe == stated:
        return lock
    for candidate in (lock, *plain_locks(lock)):
        if str(candidate.recipe) == stated:
            return candidate
    raise failure(
        "TEST_OTHER_RECIPE",
        "the running kit has another recipe than the one to test",
        where=target.address,
        measured=shown(str(stated)),
        required=target.recipe or str(lock.recipe),
    )


def _cases(
    lock: Lock, target: Target, options: TestOptions, listener: TestListener
) -> tuple[CaseResult, ...]:
    if not lock.cases:
        return ()
    listener.asking("cases", len(lock.cases))
    results: dict[str, CaseResult] = {}
    asked = []
    for case in lock.cases:
        try:
            asked.append((case, case_question(case, lock, options.case_files)))
        except LookupError as error:
            results[case.name] = CaseResult(
                name=case.name, verdict=Verdict.NOT_JUDGED, reason=str(error)
            )
            listener.answered(1)
    asking = Asking(target, options.timeout_seconds, listener)
    concurrency = options.concurrency or DEFAULT_CONCURRENCY
    replies = asking.ask_all([question for _, question in asked], concurrency)
    for (case, _), reply in zip(asked, replies, strict=True):
        results[case.name] = case_result(case, reply)
    ordered = tuple(results[case.name] for case in lock.cases)
    for result in ordered:
        listener.judged(result)
    return ordered


def _digest(stated: Any) -> str | None:
    is_digest = isinstance(stated, str) and stated.startswith("sha256:") and len(stated) == 71
    return stated if is_digest else None
