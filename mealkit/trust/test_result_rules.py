"""Decides which test result of an image counts for a policy, and what in it refuses the image.

A result of `mealkit test` and one of the preflight have the same type. Each is about another
question, so none replaces the other: a policy that names claims asks for the first only.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mealkit.acceptance.report import Verdict
from mealkit.recipe.lock import Lock
from mealkit.trust.policy import RequiredTestResult
from mealkit.trust.test_result import claim_test, read_result, stale_reasons, testable
from mealkit.trust.verified import Verified
from mealkit.trust.wildcards import one_of

Fault = tuple[str, str]
"""What refuses a result, and the field of the policy that says so."""
_MOST_NAMED = 3


def chosen_test(
    required: RequiredTestResult, oldest_first: Sequence[Verified], lock: Lock
) -> tuple[Verified | None, list[Fault]]:
    """Return the result that decides, and why others do not count."""
    faults, counting = list[Fault](), list[Verified]()
    for item in oldest_first:
        fault = _doubt(required, item.predicate, lock)
        if fault is None:
            counting.append(item)
        else:
            faults.append(fault)
    newest = {read_result(item.predicate).test: item for item in counting}
    # A failure is not hidden by a newer result of another test.
    for is_wanted in (_is_failure, lambda item: result_fault(required, item, lock) is None):
        for item in newest.values():
            if is_wanted(item.predicate):
                return item, faults
    return (counting[-1] if counting else None), faults


def _is_failure(predicate: Mapping[str, Any]) -> bool:
    return predicate.get("result") == "FAILED"


def _doubt(required: RequiredTestResult, predicate: Mapping[str, Any], lock: Lock) -> Fault | None:
    """Return why a result is not the one that the policy asks for."""
    tested = read_result(predicate)
    if required.claims is not None and not tested.is_of_claims:
        return f"a result of {tested.test or 'another program'}, not of the claims", "claims"
    stale = list(stale_reasons(tested, lock))
    if stale and required.stale == "refuse":
        return f"a stale test result: {'; '.join(stale)}", "stale"
    if required.hardware is not None and not tested.ran_on(required.hardware, lock):
        return f"tested on {tested.machine_name or 'an unknown machine'}", "hardware"
    return None


def result_fault(
    required: RequiredTestResult, predicate: Mapping[str, Any], lock: Lock
) -> Fault | None:
    """Return what in a result refuses the image."""
    if required.claims is None:
        result = predicate.get("result")
        return None if result in required.results else (f"the result {result}", "results")
    if _is_failure(predicate) and not read_result(predicate).failed:
        return "the result FAILED, which names no test that fails", "claims"
    problems = list(_problems(required, predicate, lock))
    more = len(problems) - _MOST_NAMED
    text = "; ".join(problems[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
    return (text, "claims") if problems else None


def _problems(
    required: RequiredTestResult, predicate: Mapping[str, Any], lock: Lock
) -> Iterator[str]:
    tested = read_result(predicate)
    if required.claims == "all":
        # Other claims may have been judged as well.
        names = list(dict.fromkeys((*testable(lock), *sorted(tested.failed))))
        if not names:
            yield "the kit has no claim that can be tested, and no case"
    else:
        names = [claim_test(name) for name in required.claims or ()]
    for name in names:
        match tested.verdict_of(name):
            case Verdict.FAILS:
                yield f"{name} fails"
            case Verdict.NOT_JUDGED if "WARNED" not in required.results:
                yield f"{name} was not judged"
            case None:
                yield f"{name} was not tested"
            case _:
                continue


def asked_of_tests(required: RequiredTestResult) -> Iterator[str]:
    """Yield what a policy asks of a test result, as words."""
    if required.claims is None:
        yield f"with the result {one_of(required.results)}"
        return
    which = "all claims" if required.claims == "all" else ", ".join(required.claims)
    yield f"of the claims: {which}"
    if "WARNED" in required.results:
        yield "passed or not judged"
    if required.hardware is not None:
        yield f"tested on {required.hardware}"
