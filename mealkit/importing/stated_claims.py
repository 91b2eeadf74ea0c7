"""Turns the results that a model's publisher states into claims of its kit.

No I/O. The claims have no data: they are stated, and `mealkit test` does not judge them. A metric
that mealkit does not have is listed instead. Values have the unit that mealkit measures in: a
comment says what the publisher wrote, and how it was understood.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from mealkit.acceptance.judging import claim_fault
from mealkit.digest import canonical_json
from mealkit.importing.proposal import LeftOut
from mealkit.importing.published_results import PublishedResult, published_results
from mealkit.importing.quoting import short
from mealkit.importing.repository import Repository
from mealkit.recipe.claims import Claimed, Metric

_MOST_CLAIMS = 50
_MOST_NAME = 90
_PERCENT = 100
_PATH = ("claims",)
_HEAD = (
    "Stated by the model's publisher, and not measured: without data, mealkit test does not judge"
    " them. Add data and ask to a claim to test it, and delete those that do not matter."
)
_TOLERANCE = "Not stated: a guess."

_WORDS = re.compile(r"[^a-z0-9+]+")
_NUMBER = re.compile(r"\s*([+-]?\d{1,20}(?:\.\d{1,20})?)\s*(%?)\s*")


def _of_cosines(name: str) -> tuple[str, ...]:
    return f"cos_sim_{name}", f"cosine_{name}", f"{name}_cosine"


# The metrics' identifiers on the Hub, with what other characters are written as "_".
_METRICS = {
    Metric.ACCURACY: ("accuracy", "acc"),
    Metric.F1_MACRO: ("f1_macro", "macro_f1", "macro_avg_f1"),
    Metric.F1_MICRO: ("f1_micro", "micro_f1"),
    Metric.F1_WEIGHTED: ("f1_weighted", "weighted_f1"),
    Metric.EXACT_MATCH: ("exact_match", "em"),
    Metric.SPEARMAN: ("spearman", "spearmanr", *_of_cosines("spearman")),
    Metric.PEARSON: ("pearson", "pearsonr", *_of_cosines("pearson")),
    Metric.MRR: ("mrr", "mean_reciprocal_rank"),
    Metric.NDCG_10: ("ndcg_at_10", "ndcg_10", "cosine_ndcg_10"),
    Metric.RECALL_1: ("recall_at_1", "recall_1", "cosine_recall_1"),
    Metric.RECALL_5: ("recall_at_5", "recall_5", "cosine_recall_5"),
    Metric.RECALL_10: ("recall_at_10", "recall_10", "cosine_recall_10"),
    Metric.RECALL_100: ("recall_at_100", "recall_100", "cosine_recall_100"),
    Metric.BLEU: ("bleu", "sacrebleu"),
    Metric.CHRF: ("chrf",),
    Metric.ROUGE_1: ("rouge1", "rouge_1"),
    Metric.ROUGE_2: ("rouge2", "rouge_2"),
    Metric.ROUGE_L: ("rougel", "rouge_l"),
    Metric.WER: ("wer", "word_error_rate"),
    Metric.MAE: ("mae", "mean_absolute_error"),
    Metric.RMSE: ("rmse", "root_mean_squared_error"),
    Metric.R2: ("r2", "r_squared", "r2_score"),
}
_KNOWN = {name: metric for metric, names in _METRICS.items() for name in names}
_POINTS = frozenset({Metric.BLEU, Metric.CHRF})
_IN_UNITS_OF_THE_DATA = frozenset({Metric.MAE, Metric.RMSE})
# Result files name no metric; the questions of these data sets have one right choice each.
_OF_BENCHMARKS = {"idavidrein/gpqa": Metric.ACCURACY, "tiger-lab/mmlu-pro": Metric.ACCURACY}


@dataclass(slots=True)
class StatedClaims:
    """Claims with their comments, and the results that did not become claims."""

    claims: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[tuple[str | int, ...], str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value in mealkit's unit, how it was understood, and the tolerance that is proposed."""

    value: float
    comment: str
    tolerance: Mapping[str, float]


class _UnfitError(Exception):
    """A result cannot become a claim; the text says why."""


def stated_claims(repository: Repository) -> StatedClaims:
    """Return the claims that a repository's card and result files state."""
    results, left_out = published_results(repository)
    found = StatedClaims(left_out=left_out)
    in_percent = {item.file for item in results if _can_only_be_percent(item)}
    refused: dict[str, list[str]] = {}
    names = set[str]()
    for result in results:
        try:
            _add(found, result, repository, names, is_percent=result.file in in_percent)
        except _UnfitError as error:
            refused.setdefault(str(error), []).append(_title(result))
    for why, titles in refused.items():
        shown = ", ".join(dict.fromkeys(titles[:3])) + (
            f" and {len(titles) - 3} more" if len(titles) > 3 else ""
        )
        found.left_out.append(LeftOut(f"results: {shown}", why, "write a claim, if it matters"))
    if found.claims:
        found.comments[_PATH] = _HEAD
    return found


def _add(
    found: StatedClaims,
    result: PublishedResult,
    repository: Repository,
    names: set[str],
    *,
    is_percent: bool,
) -> None:
    """Add the claim of a result.

    Raises:
        _UnfitError: it cannot become a claim.
    """
    metric, said = _metric(result)
    stated = _value(result.value, metric, is_percent=is_percent)
    if len(found.claims) >= _MOST_CLAIMS:
        raise _UnfitError(f"only the first {_MOST_CLAIMS} results become claims")
    name = _unused(f"{result.dataset} {metric.value}", names)
    details = "; ".join((f"data set: {result.dataset or 'not stated'}", *result.details))
    form = {
        "name": name,
        "source": f"{result.file} of {repository.repo}, by its publisher",
        "url": f"{repository.address}/{repository.repo}/blob/{repository.commit}/"
        + quote(result.file),
        "description": details[:2000],
        "metric": metric.value,
        "value": stated.value,
        "tolerance": dict(stated.tolerance),
    }
    try:
        claim = Claimed.model_validate_json(canonical_json(form))
    except ValidationError as error:
        raise _UnfitError("it has no form that a claim may have") from error
    if claim_fault(claim) is not None:
        raise _UnfitError("the metric cannot have the value")
    names.add(name)
    here = (*_PATH, len(found.claims))
    found.claims.append(form)
    found.comments |= {
        (*here, "value"): stated.comment,
        (*here, "tolerance"): _TOLERANCE,
        **({(*here, "metric"): said} if said else {}),
    }


def _metric(result: PublishedResult) -> tuple[Metric, str]:
    """Return a result's metric, and a comment if the file does not state it by its name."""
    for name in (result.metric, result.metric_name):
        if metric := _KNOWN.get(_words(name)):
            return metric, ""
    if not result.metric:
        metric = _OF_BENCHMARKS.get(result.dataset.lower())
        if metric is None:
            raise _UnfitError("the file states no metric")
        return metric, "The file states no metric: that of questions with one right choice."
    if _words(result.metric) == "f1":
        raise _UnfitError("they do not state how F1 is averaged over the classes")
    raise _UnfitError("mealkit does not have the metric")


def _value(stated: Any, metric: Metric, *, is_percent: bool) -> _Value:
    """Return a value in mealkit's unit: a share, points of 0 to 100, or the unit of the data."""
    number, has_sign = _number(stated)
    text = short(str(stated))
    if metric in _IN_UNITS_OF_THE_DATA:
        comment = f"Stated as {text}, in the unit of the data, which the file does not state."
        return _Value(number, comment, {"relative": 0.05})
    if abs(number) > _PERCENT:
        raise _UnfitError("the value is neither a share nor a percentage")
    how, is_share = _understood(number, has_sign=has_sign, is_percent=is_percent)
    if metric in _POINTS:
        value = _scaled(number, 2 if is_share else 0)
        return _Value(value, f"In points of 0 to 100. Stated as {text}, {how}.", {"absolute": 1})
    value = _scaled(number, 0 if is_share else -2)
    return _Value(value, f"Stated as {text}, {how}.", {"absolute": 0.01})


def _understood(number: float, *, has_sign: bool, is_percent: bool) -> tuple[str, bool]:
    """Return how a number is understood, in words, and whether it is a share."""
    if has_sign:
        return "with a percent sign", False
    if abs(number) > 1:
        return "which was taken as a percentage, because it is larger than 1", False
    if is_percent:
        reason = "because other values of the file are larger than 1"
        return f"which was taken as a percentage, {reason}", False
    return "which was taken as a share, and not as a percentage", True


def _number(stated: Any) -> tuple[float, bool]:
    """Return a stated value as a number, and whether it has a percent sign."""
    match = _NUMBER.fullmatch(stated) if isinstance(stated, str) else None
    if match is not None:
        return float(match[1]), bool(match[2])
    is_number = isinstance(stated, int | float) and not isinstance(stated, bool)
    if not is_number or abs(stated) > 1e15 or not math.isfinite(stated):
        raise _UnfitError("the value is not a number")
    return float(stated), False


def _scaled(number: float, places: int) -> float:
    """Return a number with its decimal point moved, without new digits from binary fractions."""
    return float(Decimal(repr(number)).scaleb(places))


def _can_only_be_percent(result: PublishedResult) -> bool:
    """Return whether a value shows that its file states percentages.

    An error rate may be above 1, and points are from 0 to 100 anyway.
    """
    try:
        metric, _ = _metric(result)
        number, _ = _number(result.value)
    except _UnfitError:
        return False
    others = {Metric.WER, *_POINTS, *_IN_UNITS_OF_THE_DATA}
    return metric not in others and 1 < abs(number) <= _PERCENT


def _words(text: str) -> str:
    return _WORDS.sub("_", text.lower()).strip("_")


def _unused(text: str, names: set[str]) -> str:
    """Return a claim's name that no other claim has."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_MOST_NAME].strip("-")
    return next(name for name in _numbered(plain or "result") if name not in names)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in range(2, _MOST_CLAIMS + 2):
        yield f"{name}-{number}"


def _title(result: PublishedResult) -> str:
    """Return a result in a few words."""
    words: Sequence[str] = (result.metric or result.metric_name, result.dataset)
    return short(" on ".join(word[:60] for word in words if word)) or "one without a name"
