"""Prints the test results of an image, for mealkit verify."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mealkit.cli.output import printable_line, table

if TYPE_CHECKING:
    from mealkit.pipeline.signatures.verified_tests import VerifiedTest
    from mealkit.trust.test_result import Tested

_MOST_SHOWN = 20
_LONGEST = 120


def lines_of_tests(tests: Sequence["VerifiedTest"], today: dt.date) -> Iterator[str]:
    """Yield lines about each test: its result, machine and age, and the verdicts."""
    for item in tests:
        tested = item.tested
        age = item.age_days(today)
        when = f", {age} day{'' if age == 1 else 's'} old" if age is not None else ""
        machine = f" on {_shown(tested.machine_name)}" if tested.machine_name else ""
        yield ""
        yield f"{_shown(tested.test or 'test')}{machine}: {_shown(str(tested.result))}{when}"
        yield from (f"  stale: {_shown(reason)}" for reason in item.stale)
        if tested.is_of_claims:
            yield from (f"  {line}" for line in _table(tested))


def _table(tested: "Tested") -> Iterator[str]:
    rows = list(_rows(tested))
    yield from table(("test", "verdict", "claimed", "measured"), rows[:_MOST_SHOWN], frozenset())
    if len(rows) > _MOST_SHOWN:
        yield f"and {len(rows) - _MOST_SHOWN} more"


def _rows(tested: "Tested") -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each test; failures first, and stated claims last."""
    from mealkit.trust.test_result import claim_test, number

    stated = tested.claims.items()
    claimed = {claim_test(name): number(claim.get("value")) for name, claim in stated}
    measured = {claim_test(name): value for name, value in tested.measured.items()}
    verdicts = (
        (tested.failed, "failed"),
        (tested.warned, "not judged"),
        (tested.passed, "passed"),
        (claimed.keys() - tested.failed - tested.warned - tested.passed, "stated only"),
    )
    for names, verdict in verdicts:
        for name in sorted(names):
            yield _shown(name), verdict, _number(claimed.get(name)), _number(measured.get(name))


def forms_of_tests(tests: Iterable["VerifiedTest"], today: dt.date) -> list[dict[str, Any]]:
    """Return the JSON form of each test."""
    return [
        {
            "test": item.tested.test or None,
            "result": item.tested.result,
            "passed": sorted(item.tested.passed),
            "notJudged": sorted(item.tested.warned),
            "failed": sorted(item.tested.failed),
            "measured": dict(item.tested.measured),
            "machine": item.tested.machine_name or None,
            "day": str(item.day) if item.day else None,
            "ageDays": item.age_days(today),
            "recipe": item.tested.recipe,
            "stale": list(item.stale),
        }
        for item in tests
    ]


def _shown(text: str) -> str:
    line = printable_line(text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
