"""Makes a claim's result of the replies to its questions: value, interval, slices, worst rows."""

import json
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mealkit.acceptance.answer_journal import Reply
from mealkit.acceptance.judging import hardware_fault, judged, shown_bounds, shown_value
from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.questions import Question
from mealkit.acceptance.report import (
    MAX_SAMPLES,
    ClaimResult,
    Sample,
    SliceResult,
    Verdict,
)
from mealkit.acceptance.rows import Row, column
from mealkit.acceptance.scored import FEWEST_RESAMPLES, UNANSWERED, Pair, Scored, interval
from mealkit.acceptance.scoring import fault_of, scored
from mealkit.acceptance.speeds import latencies
from mealkit.acceptance.target import Target
from mealkit.errors import Owner
from mealkit.recipe.claims import Claimed, Metric
from mealkit.recipe.lock import Lock

_MAX_SCORES = 10_000
_MAX_SLICES = 50
_SHOWN_CHARACTERS = 400
# Fields of a request that are the same for each row, and say nothing about it.
_NOT_FROM_THE_ROW = frozenset({"model", "encoding_format"})
# The score of a row that is as it should be, where it is not 1.
_PERFECT = {Metric.WER: 0.0, Metric.BLEU: 100.0, Metric.CHRF: 100.0}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for a claim, and what came back."""

    file: str
    rows: Sequence[Row]
    questions: Sequence[Question]
    runs: Sequence[Sequence[Reply]]
    """The replies in the order of the rows, once for each seed."""
    speed: float | None
    """The value of a claim of speed."""
    is_part: bool
    """Whether the data has more rows than were asked."""

    @property
    def every(self) -> list[Reply]:
        """All replies."""
        return [reply for run in self.runs for reply in run]


def not_judged(claim: Claimed, reason: str) -> ClaimResult:
    """Return the result of a claim that cannot be measured here."""
    return ClaimResult(claim=claim, verdict=Verdict.NOT_JUDGED, reason=reason)


def unanswered(claim: Claimed, reason: str, reply: Reply) -> ClaimResult:
    """Return the result of a claim for which a request that all rows need was not answered."""
    problems = {reply.problem or "ENGINE_ANSWER": 1}
    return ClaimResult(
        claim=claim, verdict=Verdict.FAILS, reason=reason, owner=reply.owner, problems=problems
    )


def speed_result(
    claim: Claimed, lock: Lock, target: Target, value: float | None, asked: Asked | None = None
) -> ClaimResult:
    """Return the result of a claim of speed or memory; the value is None if it is not known."""
    if value is None:
        unknown = f"{claim.metric.value} is not known of this kit"
        result = not_judged(claim, unknown)
    else:
        result = _with_verdict(claim, lock, target, value, asked)
    if asked is None:
        return result
    every = asked.every
    refused = [reply for reply in every if reply.problem is not None]
    update: dict[str, Any] = {
        "rows": len(every),
        "refused": len(refused),
        "latencies": latencies(every),
    }
    if refused:
        reason = f"the kit did not answer {len(refused)} of {len(every)} requests: "
        update |= {
            "verdict": Verdict.FAILS,
            "reason": reason + refused[0].message,
            "owner": refused[0].owner,
            "problems": _problems(refused),
        }
    return result.model_copy(update=update)


def quality_result(claim: Claimed, lock: Lock, target: Target, asked: Asked) -> ClaimResult:
    """Return the result of a claim about the answers.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``, a right answer is missing or of the wrong type.
    """
    expected = [
        column(row, claim.expected, number, asked.file) for number, row in enumerate(asked.rows, 1)
    ]
    with warnings.catch_warnings():
        # Of answers that are all the same, say the libraries, some metrics are not defined. NaN
        # says it, too, also for a slice or a resample.
        warnings.simplefilter("ignore")
        return _measured(claim, lock, target, asked, expected)


def _measured(
    claim: Claimed, lock: Lock, target: Target, asked: Asked, expected: Sequence[Any]
) -> ClaimResult:
    runs = [_checked(claim, asked.file, expected, run) for run in asked.runs]
    made = [scored(claim.metric, [pair for pair, _ in run]) for run in runs]
    every = range(len(expected))
    values = [run.value(every) for run in made]
    whole = _together(made)
    replies = [reply for run in runs for _, reply in run]
    refused = [reply for reply in replies if reply.problem is not None]
    result = _quality(claim, lock, target, asked, values, refused)
    scores = whole.scores or ()
    return result.model_copy(
        update={
            "interval": None if result.measured is None else interval(whole, len(expected)),
            "spread": tuple(item for item in values if math.isfinite(item)) if claim.seeds else (),
            "rows": len(expected),
            "refused": len(refused),
            "problems": _problems(refused),
            "slices": _slices(claim, asked.rows, whole),
            "scores": scores if len(scores) <= _MAX_SCORES else (),
            "latencies": latencies(replies),
            "samples": _worst(claim, asked, runs[0], whole),
        }
    )


def _checked(
    claim: Claimed, file: str, expected: Sequence[Any], run: Sequence[Reply]
) -> list[tuple[Pair, Reply]]:
    """Pair answers with right ones; an answer that cannot be scored becomes a problem."""
    found = []
    for number, (right, reply) in enumerate(zip(expected, run, strict=True), 1):
        place = f"{file}:{number}"
        pair = Pair(right, reply.value if reply.problem is None else UNANSWERED, place)
        fault = None if pair.answered is UNANSWERED else fault_of(claim.metric, pair)
        if fault is not None:
            pair = Pair(right, UNANSWERED, place)
            reply = reply.wrong(fault)  # noqa: PLW2901
        found.append((pair, reply))
    return found


def _together(runs: Sequence[Scored]) -> Scored:
    """Return the mean over the runs with several seeds."""
    if len(runs) == 1:
        return runs[0]
    first = runs[0]
    every = [run.values for run in runs]
    many = [item for item in every if item is not None]
    scores = [run.scores for run in runs if run.scores is not None]
    return Scored(
        lambda rows: fmean(run.value(rows) for run in runs),
        (lambda chosen: sum(item(chosen) for item in many) / len(many))
        if len(many) == len(runs)
        else None,
        tuple(map(fmean, zip(*scores, strict=True))) if scores else None,
        first.ranks,
        max(FEWEST_RESAMPLES, first.resamples // len(runs)),
    )


def _quality(
    claim: Claimed,
    lock: Lock,
    target: Target,
    asked: Asked,
    values: Sequence[float],
    refused: Sequence[Reply],
) -> ClaimResult:
    value = fmean(values)
    count = len(asked.every)
    if refused and (METRICS[claim.metric].needs_number or len(refused) == count):
        reason = f"{len(refused)} of {count} rows have no answer to measure: {refused[0].message}"
        measured = value if math.isfinite(value) and len(refused) < count else None
        return ClaimResult(
            claim=claim,
            verdict=Verdict.FAILS,
            reason=reason[:4000],
            owner=_owner(refused),
            measured=measured,
        )
    if not math.isfinite(value):
        reason = (
            f"{claim.metric.value} is not defined for these answers, such as if all are the same"
        )
        if asked.is_part:
            return not_judged(claim, f"{reason}; {_asked_only(asked)}")
        return ClaimResult(
            claim=claim, verdict=Verdict.FAILS, reason=reason, owner=Owner.KIT_AUTHOR
        )
    result = _with_verdict(claim, lock, target, value, asked)
    if not refused:
        return result
    reason = f"{result.reason}; {len(refused)} of {count} rows were not answered, and count as"
    reason = f"{reason} wrong: {refused[0].message}"[:4000]
    is_theirs = result.verdict is Verdict.FAILS and 2 * len(refused) >= count
    owner = _owner(refused) if is_theirs else result.owner
    return result.model_copy(update={"reason": reason, "owner": owner})


def _with_verdict(
    claim: Claimed, lock: Lock, target: Target, value: float, asked: Asked | None
) -> ClaimResult:
    verdict, reason = judged(claim, value)
    if asked is not None and asked.is_part:
        reason = (
            f"{_asked_only(asked)}, because of a limit:"
            f" measured {shown_value(claim.metric, value)}, allowed {shown_bounds(claim)}"
        )
        verdict = Verdict.NOT_JUDGED
    elsewhere = hardware_fault(claim, lock, target.machine)
    if elsewhere is not None:
        verdict = Verdict.NOT_JUDGED
        reason = f"{elsewhere}; measured {shown_value(claim.metric, value)}"
    owner = Owner.KIT_AUTHOR if verdict is Verdict.FAILS else None
    return ClaimResult(claim=claim, verdict=verdict, reason=reason, owner=owner, measured=value)


def _asked_only(asked: Asked) -> str:
    count = len(asked.rows)
    return (
        f"only {count} rows of the data were asked"
        if count > 1
        else "only 1 row of the data was asked"
    )


def _owner(refused: Sequence[Reply]) -> Owner | None:
    return Counter(reply.owner for reply in refused).most_common(1)[0][0]


def _problems(refused: Sequence[Reply]) -> dict[str, int]:
    return dict(Counter(str(reply.problem) for reply in refused))


def _slices(claim: Claimed, rows: Sequence[Row], made: Scored) -> tuple[SliceResult, ...]:
    found = []
    for name in claim.slices:
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(_short(row.get(name)), []).append(index)
        # The largest groups come first; a column with a value per row has no slices worth reading.
        largest = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:_MAX_SLICES]
        for value, indexes in largest:
            measured = made.value(indexes)
            found.append(
                SliceResult(
                    column=name,
                    value=value,
                    rows=len(indexes),
                    measured=measured if math.isfinite(measured) else None,
                )
            )
    return tuple(found)


def _worst(
    claim: Claimed, asked: Asked, run: Sequence[tuple[Pair, Reply]], made: Scored
) -> tuple[Sample, ...]:
    """Return the rows with the worst scores; a row that is as it should be is not one."""
    if made.scores is not None:
        perfect = _PERFECT.get(claim.metric, 1.0)
        badness, best = [abs(perfect - score) for score in made.scores], 0.0
    else:
        badness, best = list(made.ranks or ()), 0.0
    order = sorted(range(len(badness)), key=lambda index: (-badness[index], index))
    chosen = [index for index in order[:MAX_SAMPLES] if badness[index] > best]
    return tuple(
        Sample(
            row=index + 1,
            asked=_short(
                {
                    key: item
                    for key, item in asked.questions[index].body.items()
                    if key not in _NOT_FROM_THE_ROW
                }
            ),
            expected=_short(run[index][0].expected),
            answered=_short(
                run[index][1].message if run[index][1].problem else run[index][1].value
            ),
            score=made.scores[index] if made.scores is not None else None,
        )
        for index in chosen
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
