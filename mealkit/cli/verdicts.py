"""Writes what a test found: a line per claim and case, the worst rows of what fails, the exit code.

Shared by the verbs that test: test, build --test, run --test.
"""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from mealkit.cli.output import print_line, say, table
from mealkit.errors import AcceptanceError, Owner
from mealkit.progress import Progress

if TYPE_CHECKING:
    from mealkit.acceptance.report import CaseResult, ClaimResult, Report

_SAMPLES = 5
_SHOWN_CHARACTERS = 100
_EVERY_SECONDS = 2.0


class TestLines:
    """Reports a test as phases of a command: the start of each claim, and how far it is."""

    __test__ = False  # for pytest, which takes classes of this name for tests

    def __init__(self, progress: Progress) -> None:
        """Write to a command's progress."""
        self._progress = progress
        self._name, self._total, self._done, self._next = "", 0, 0, 0.0

    def asking(self, name: str, total: int) -> None:
        """Write the claim's name and its number of requests."""
        self._name, self._total, self._done = name, total, 0
        self._next = time.monotonic() + _EVERY_SECONDS
        self._progress.phase(f"{name}: {total} request{'s' if total > 1 else ''}")

    def answered(self, count: int) -> None:
        """Write how many requests are done, every few seconds."""
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            self._progress.phase(f"{self._name}: {self._done} of {self._total}")

    def judged(self, result: "ClaimResult | CaseResult") -> None:
        """Write nothing: the results come together at the end."""


def show_report(report: "Report", *, as_json: bool, quiet: bool) -> None:
    """Write a report: JSON, or the table of claims, the cases, and what fails."""
    if as_json:
        sys.stdout.write(report.as_json().decode())
        return
    for line in _lines(report):
        print_line(line)
    if not quiet:
        say(_summary(report))


def tell_report(report: "Report") -> None:
    """Write a report to stderr, for a verb whose result is another one."""
    for line in (*_lines(report), _summary(report)):
        say(line)


def end_with(report: "Report", *, strict: bool) -> None:
    """End the command with its exit code if something fails, or is not judged and ``strict``."""
    from mealkit.acceptance.testing import unjudged

    if report.failed or (strict and unjudged(report)):
        raise typer.Exit(AcceptanceError.exit_code)


def _lines(report: "Report") -> Iterator[str]:
    if report.claims:
        rows = [_row(item) for item in report.claims]
        header = ("claim", "expected", "measured", "95 % interval", "verdict")
        yield from table(header, rows, frozenset({1, 2}))
    if report.cases:
        rows = [
            (item.name, f"{item.seconds * 1000:.1f} ms" if item.seconds else "", item.verdict)
            for item in report.cases
        ]
        yield from table(("case", "time", "verdict"), rows, frozenset({1}))
    every: tuple[CaseResult | ClaimResult, ...] = (*report.cases, *report.claims)
    for item in every:
        if item.verdict.value != "holds":
            yield ""
            yield from _details(item)
    owner = report.kit.owner
    if owner and any(item.owner is Owner.KIT_AUTHOR for item in report.failed):
        yield ""
        yield f"kit-author: {owner.team}, {owner.contact}: {owner.support}"
    for note in report.notes:
        yield f"note: {note}"


def _row(item: "ClaimResult") -> tuple[str, ...]:
    from mealkit.acceptance.judging import shown_bounds, shown_value

    metric = item.claim.metric
    measured = "" if item.measured is None else shown_value(metric, item.measured)
    interval = ""
    if item.interval is not None:
        interval = " to ".join(shown_value(metric, bound) for bound in item.interval)
    return item.claim.name, shown_bounds(item.claim), measured, interval, item.verdict.value


def _details(item: "ClaimResult | CaseResult") -> Iterator[str]:
    from mealkit.acceptance.report import CaseResult

    owner = f"  owner: {item.owner.value}" if item.owner else ""
    name = item.name if isinstance(item, CaseResult) else item.claim.name
    yield f"{name}  {item.verdict.value}{owner}"
    yield f"  {item.reason}"
    if isinstance(item, CaseResult):
        for fault in item.faults[:_SAMPLES]:
            where = f"at {fault.at}: " if fault.at else ""
            yield f"  {where}expected {_cut(fault.expected)}, answered {_cut(fault.answered)}"
        return
    yield f"  claimed: {item.claim.metric.value} {item.claim.value:g} ({item.claim.source})"
    for sample in item.samples[:_SAMPLES]:
        score = "" if sample.score is None else f"  score {sample.score:.3g}"
        yield f"  row {sample.row}{score}  {_cut(sample.asked)}"
        yield f"    expected {_cut(sample.expected)}, answered {_cut(sample.answered)}"


def _summary(report: "Report") -> str:
    from mealkit.acceptance.testing import unjudged

    total = len(report.claims) + len(report.cases)
    left, failed = len(unjudged(report)), len(report.failed)
    parts = [f"{total - left - failed} of {total} hold", f"{failed} fail"]
    if left:
        parts.append(f"{left} not judged")
    return f"{report.kit.name} {report.kit.version}: {', '.join(parts)}; {report.seconds:.1f} s"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
