"""Answers whether a paper's values are reproduced on this machine, and lists what differs.

The paper's side is what the claims state: values and hardware. An earlier result, such as the
author's, adds the recipe, the data and the versions of libraries to compare with.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from mealkit.acceptance.judging import bounds, shown_bounds
from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.report import (
    CaseResult,
    ClaimResult,
    KitUnderTest,
    MachineFacts,
    Report,
    Verdict,
)
from mealkit.reports.measures import (
    show_difference,
    show_miss,
    show_value,
)
from mealkit.units import show_size


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Answer(StrEnum):
    """Whether a result is reproduced."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    CANNOT_BE_SAID = "cannot be said"


WORST_FIRST = (Answer.NOT_REPRODUCED, Answer.CANNOT_BE_SAID, Answer.REPRODUCED)
_ANSWERS = {
    Verdict.HOLDS: Answer.REPRODUCED,
    Verdict.FAILS: Answer.NOT_REPRODUCED,
    Verdict.NOT_JUDGED: Answer.CANNOT_BE_SAID,
}


class Comparison(_Value):
    """One claim: the paper's side and this machine's."""

    name: str
    source: str
    metric: str
    is_performance: bool
    is_ours: bool
    """Whether the kit's authors state the value, and no paper."""
    is_stated_only: bool
    """Whether the kit has no data for it, so that it cannot be tested anywhere."""
    paper_hardware: str | None
    paper_value: FiniteFloat
    claimed: FiniteFloat
    """The value that the kit claims for its own data; often the paper's."""
    allowed: tuple[float | None, float | None]
    earlier: FiniteFloat | None
    """What the earlier result measured."""
    measured: FiniteFloat | None
    interval: tuple[FiniteFloat, FiniteFloat] | None
    difference_percent: FiniteFloat | None
    """The measured value's difference from the paper's."""
    answer: Answer
    reason: str


class Part(_Value):
    """The answer for claims of one kind, or for the golden examples."""

    name: str
    answer: Answer
    reason: str


class Difference(_Value):
    """One thing that can change a result, there and here."""

    thing: str
    kind: Literal["recipe", "hardware", "data", "libraries", "test"]
    there: str | None
    """What the paper or the earlier result states; None if it states nothing."""
    here: str | None
    """What this test found; None if it is not known."""
    is_same: bool | None
    """None if one of both is not known."""


class Reproduction(_Value):
    """Whether the paper's values are reproduced on this machine, and why."""

    report_version: Literal["mealkit.reproduction/v1"] = "mealkit.reproduction/v1"
    mealkit_version: str
    kit: KitUnderTest
    machine: MachineFacts
    started_seconds: FiniteFloat
    answer: Answer
    parts: tuple[Part, ...]
    comparisons: tuple[Comparison, ...]
    compared_with: str
    differences: tuple[Difference, ...]

    @property
    def differing(self) -> tuple[Difference, ...]:
        """What is known to differ."""
        return tuple(item for item in self.differences if item.is_same is False)

    @property
    def unknown(self) -> tuple[Difference, ...]:
        """What cannot be compared."""
        return tuple(item for item in self.differences if item.is_same is None)

    def as_json(self) -> bytes:
        """Return it as JSON, in UTF-8."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def reproduction_of(report: Report, earlier: Report | None = None) -> Reproduction:
    """Compare a test's report with the paper, and with an earlier result if there is one."""
    before = {} if earlier is None else {item.claim.name: item for item in earlier.claims}
    comparisons = tuple(
        _comparison(result, before.get(result.claim.name)) for result in report.claims
    )
    parts = tuple(_parts(comparisons, report.cases))
    return Reproduction(
        mealkit_version=report.mealkit_version,
        kit=report.kit,
        machine=report.machine,
        started_seconds=report.started_seconds,
        answer=_worst([part.answer for part in parts]),
        parts=parts,
        comparisons=comparisons,
        compared_with="the paper" if earlier is None else "the paper and an earlier result",
        differences=tuple(_differences(report, earlier)),
    )


def _comparison(result: ClaimResult, earlier: ClaimResult | None) -> Comparison:
    claim = result.claim
    paper = claim.value if claim.paper_value is None else claim.paper_value
    measured = result.measured
    difference = None
    if measured is not None and paper != 0:
        difference = (measured - paper) / abs(paper) * 100
    return Comparison(
        name=claim.name,
        source=claim.source,
        metric=claim.metric.value,
        is_performance=METRICS[claim.metric].is_speed,
        is_ours=_is_ours(claim.source),
        is_stated_only=claim.data is None and measured is None,
        paper_hardware=claim.paper_hardware,
        paper_value=paper,
        claimed=claim.value,
        allowed=bounds(claim),
        earlier=None if earlier is None else earlier.measured,
        measured=measured,
        interval=result.interval,
        difference_percent=difference,
        answer=_ANSWERS[result.verdict],
        reason=_reason(result),
    )


def _is_ours(source: str) -> bool:
    return source.strip().lower() == "ours"


def _reason(result: ClaimResult) -> str:
    claim = result.claim
    metric = claim.metric
    if result.verdict is Verdict.NOT_JUDGED or result.measured is None:
        return result.reason
    measured = show_value(metric, result.measured)
    miss = show_miss(result)
    if miss is None:
        text = f"{measured} is within {shown_bounds(claim)}"
    else:
        text = f"{measured} is {miss}"
    if miss and result.interval and _reaches(result.interval, bounds(claim)):
        text += "; its 95 % interval reaches the allowed values, so more rows could decide"
    if claim.paper_value is not None and claim.paper_value != claim.value:
        text += (
            f"; the paper's own value is {show_value(metric, claim.paper_value)} "
            f"({show_difference(result.measured, claim.paper_value)})"
        )
    return text


def _reaches(interval: tuple[float, float], allowed: tuple[float | None, float | None]) -> bool:
    low, high = allowed
    return (low is None or interval[1] >= low) and (high is None or interval[0] <= high)


def _parts(comparisons: tuple[Comparison, ...], cases: tuple[CaseResult, ...]) -> Iterator[Part]:
    papers = [item for item in comparisons if not item.is_ours]
    kinds = {
        "quality": [item for item in papers if not item.is_performance],
        "performance": [item for item in papers if item.is_performance],
        "the kit's own claims": [item for item in comparisons if item.is_ours],
    }
    for name, found in kinds.items():
        if found:
            yield _part(name, found)
    if cases:
        answers = [_ANSWERS[case.verdict] for case in cases]
        yield Part(name="golden examples", answer=_worst(answers), reason=_counted(answers))


def _part(name: str, found: list[Comparison]) -> Part:
    """Answer for claims of one kind; claims that cannot be tested anywhere do not count."""
    testable = [item.answer for item in found if not item.is_stated_only]
    reason = _counted(testable)
    stated = len(found) - len(testable)
    if stated:
        reason += f"; {stated} only stated, without data to test {'it' if stated == 1 else 'them'}"
    return Part(name=name, answer=_worst(testable), reason=reason)


def _counted(answers: list[Answer]) -> str:
    counted = {answer: answers.count(answer) for answer in reversed(WORST_FIRST)}
    return ", ".join(
        f"{number} {answer.value}" for answer, number in counted.items() if number
    ) or ("nothing could be tested")


def _worst(answers: list[Answer]) -> Answer:
    return next((answer for answer in WORST_FIRST if answer in answers), Answer.CANNOT_BE_SAID)


def _differences(report: Report, earlier: Report | None) -> Iterator[Difference]:
    yield from _hardware_of_paper(report)
    if earlier is None:
        return
    kit, other = report.kit, earlier.kit
    here, there = report.machine, earlier.machine
    yield _difference("recipe", "recipe", other.recipe, kit.recipe)
    yield _difference("version", "recipe", other.version, kit.version)
    yield _difference("image", "recipe", other.image, kit.image)
    yield _difference("processor", "hardware", there.processor, here.processor)
    yield _difference("cores", "hardware", _text(there.cores), _text(here.cores))
    yield _difference("memory", "hardware", _size(there), _size(here))
    yield _difference("GPUs", "hardware", _gpus(there), _gpus(here))
    yield _difference("driver", "hardware", there.driver, here.driver)
    yield _difference("system", "hardware", there.system, here.system)
    yield from _named("data", earlier.datasets, report.datasets)
    yield from _named("libraries", earlier.libraries, report.libraries)
    yield _difference("mealkit", "test", earlier.mealkit_version, report.mealkit_version)
    yield _difference(
        "requests at a time", "test", _text(earlier.concurrency), _text(report.concurrency)
    )


def _hardware_of_paper(report: Report) -> Iterator[Difference]:
    machine = report.machine
    known = [name for name in (*machine.gpus, machine.processor) if name]
    stated = dict.fromkeys(result.claim.paper_hardware for result in report.claims)
    for hardware in stated:
        if hardware is None:
            continue
        names = [
            result.claim.name for result in report.claims if result.claim.paper_hardware == hardware
        ]
        yield Difference(
            thing=f"hardware of {', '.join(names)}",
            kind="hardware",
            there=hardware,
            here="; ".join(known) or None,
            is_same=any(_is_same_hardware(hardware, name) for name in known) if known else None,
        )


def _is_same_hardware(stated: str, found: str) -> bool:
    """Return whether all words of the shorter name are in the longer one: A100, NVIDIA A100."""
    first, second = (set(name.casefold().replace("-", " ").split()) for name in (stated, found))
    return first <= second or second <= first


def _named(
    kind: Literal["data", "libraries"], there: Mapping[str, str], here: Mapping[str, str]
) -> Iterator[Difference]:
    for name in dict.fromkeys((*there, *here)):
        yield _difference(name, kind, there.get(name), here.get(name))


def _difference(
    thing: str,
    kind: Literal["recipe", "hardware", "data", "libraries", "test"],
    there: str | None,
    here: str | None,
) -> Difference:
    is_same = there == here if there and here else None
    return Difference(
        thing=thing, kind=kind, there=there or None, here=here or None, is_same=is_same
    )


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _size(machine: MachineFacts) -> str | None:
    return None if machine.memory_bytes is None else show_size(machine.memory_bytes)


def _gpus(machine: MachineFacts) -> str | None:
    """Return a machine's GPUs; a machine that is known and has none differs from one with some."""
    return ", ".join(machine.gpus) or ("none" if machine.processor else None)
