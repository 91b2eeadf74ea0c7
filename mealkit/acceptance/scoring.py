"""Computes a metric from right answers and answers, for all rows or some, by the field's libraries.

No I/O. The libraries are imported late. An unanswered row counts as wrong: as another label, an
empty text, or the score 0. Where an answer must be a number, the row is left out, and the caller
decides.
"""

import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.acceptance.json_values import comparable
from mealkit.acceptance.packages import needed
from mealkit.acceptance.ranked import ranking_scores
from mealkit.errors import failure
from mealkit.recipe.claims import Metric
from mealkit.untrusted import shown

UNANSWERED = object()
"""Stands for the answer of a row that the kit did not answer."""
_NO_LABEL = "\0unanswered"
_CHEAP_RESAMPLES, _FEWEST_RESAMPLES = 1000, 100
# sacrebleu and jiwer read every text again for each resample.
_TEXT_ROWS = 100_000
_WITHOUT_INTERVAL_ROWS = 20_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Pair:
    """A right answer, and the kit's."""

    expected: Any
    answered: Any
    place: str
    """The file and the row, for messages."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A metric over the rows of a claim."""

    value: Callable[[Sequence[int]], float]
    """Return the metric's value over these rows, by their positions."""
    scores: tuple[float, ...] | None
    """The rows' own scores; None if only many rows have a score together."""
    ranks: tuple[float, ...] | None = None
    """How wrong each row is, if it has no score: larger is worse."""
    resamples: int = _CHEAP_RESAMPLES
    """How many resamples the interval needs at an acceptable cost."""


def scored(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    """Prepare a metric; a missing answer, or one with a `fault_of` its own, is `UNANSWERED`.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``, a right answer has the wrong type.
    """
    return _WAYS[metric](metric, pairs)


def fault_of(metric: Metric, pair: Pair) -> str | None:
    """Return why an answer cannot be scored with a metric; None if it can.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``, the right answer has the wrong type.
    """
    try:
        if metric in _NUMBER_WAYS or metric in {Metric.CLOSE, Metric.COSINE}:
            right, given = _expected_numbers(pair), numbers_of(pair.answered)
            if len(right) != len(given):
                return f"the answer has {len(given)} numbers, the right answer has {len(right)}"
        elif metric is Metric.JSON_EQUAL:
            _parsed(pair.answered)
    except ValueError as error:
        return str(error)
    return None


def numbers_of(value: Any) -> list[float]:
    """Return a number, or a list of them, as a list; also from a text, as CSV has it.

    Raises:
        ValueError: it is something else.
    """
    import math  # noqa: PLC0415

    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("an empty list is not a number")
    found = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            raise ValueError(f"{shown(json.dumps(value), 60)} is not a number")  # noqa: TRY004
        try:
            number = float(item)
        except (ValueError, OverflowError):
            raise ValueError(f"{shown(str(item), 60)} is not a number") from None
        if not math.isfinite(number):
            raise ValueError(f"{shown(str(item), 60)} is not a finite number")
        found.append(number)
    return found


def interval(made: Scored, rows: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric by bootstrap over the rows; None if it has none."""
    if rows < 2 or rows > _WITHOUT_INTERVAL_ROWS:
        return None
    numpy, stats = needed("numpy"), needed("scipy.stats")
    import warnings  # noqa: PLC0415

    with warnings.catch_warnings():
        # A resample may be constant, and then has no correlation.
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (numpy.arange(rows),),
            made.value,
            n_resamples=made.resamples,
            vectorized=False,
            confidence_level=_CONFIDENCE,
            method="percentile",
            rng=numpy.random.default_rng(0),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if numpy.isfinite(low) and numpy.isfinite(high) else None


def _expected_numbers(pair: Pair) -> list[float]:
    try:
        return numbers_of(pair.expected)
    except ValueError as error:
        message = f"the right answer cannot be compared: {error}"
        raise failure("TEST_DATA_INVALID", message, where=pair.place) from error


def _text(value: Any) -> str:
    if value is UNANSWERED:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _mean_of(scores: Sequence[float]) -> Scored:
    numpy = needed("numpy")
    values = numpy.asarray(scores, dtype=float)
    return Scored(lambda rows: float(values[list(rows)].mean()), tuple(map(float, scores)))


def _labels(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    learn, numpy = needed("sklearn.metrics"), needed("numpy")
    right = numpy.asarray([_text(pair.expected) for pair in pairs])
    given = numpy.asarray(
        [_NO_LABEL if pair.answered is UNANSWERED else _text(pair.answered) for pair in pairs]
    )
    average = {Metric.F1_MACRO: "macro", Metric.F1_MICRO: "micro", Metric.F1_WEIGHTED: "weighted"}

    def value(rows: Sequence[int]) -> float:
        one, other = right[list(rows)], given[list(rows)]
        if metric is Metric.ACCURACY:
            return float(learn.accuracy_score(one, other))
        known = sorted((set(one.tolist()) | set(other.tolist())) - {_NO_LABEL})
        form = {"labels": known, "average": average[metric], "zero_division": 0}
        return float(learn.f1_score(one, other, **form))

    hits = tuple((right == given).astype(float).tolist())
    resamples = _CHEAP_RESAMPLES if metric is Metric.ACCURACY else 200
    return Scored(value, hits, resamples=resamples)


def _matches(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    same = {
        Metric.EXACT_MATCH: lambda one, other: _text(one) == _text(other),
        Metric.NORMALISED_MATCH: lambda one, other: _normalised(one) == _normalised(other),
        Metric.JSON_EQUAL: lambda one, other: _parsed(one) == _parsed(other),
        Metric.CLOSE: _are_close,
    }[metric]
    return _mean_of(
        [
            float(pair.answered is not UNANSWERED and same(pair.expected, pair.answered))
            for pair in pairs
        ]
    )


def _normalised(value: Any) -> str:
    jiwer = needed("jiwer")
    steps = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.RemovePunctuation(),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
        ]
    )
    return str(steps(unicodedata.normalize("NFKC", _text(value))))


def _parsed(value: Any) -> Any:
    """Return JSON that may be written as a text, in a form in which 1 and true differ."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"{shown(value, 60)} is not JSON") from None
    return comparable(value)


def _are_close(expected: Any, answered: Any) -> bool:
    numpy = needed("numpy")
    right, given = numbers_of(expected), numbers_of(answered)
    return len(right) == len(given) and bool(numpy.allclose(given, right))


def _numbers(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    numpy = needed("numpy")
    right = [numpy.asarray(_expected_numbers(pair)) for pair in pairs]
    given = [
        numpy.full(len(one), numpy.nan)
        if pair.answered is UNANSWERED
        else numpy.asarray(numbers_of(pair.answered))
        for one, pair in zip(right, pairs, strict=True)
    ]
    compute = _NUMBER_WAYS[metric]

    def value(rows: Sequence[int]) -> float:
        one = numpy.concatenate([right[row] for row in rows])
        other = numpy.concatenate([given[row] for row in rows])
        known = numpy.isfinite(other)
        return float(compute(one[known], other[known])) if known.any() else float("nan")

    if metric in {Metric.SPEARMAN, Metric.PEARSON}:
        return Scored(value, None, ranks=_rank_faults(right, given))
    wrong = tuple(
        float(numpy.nan_to_num(numpy.abs(one - other), nan=numpy.inf).max())
        for one, other in zip(right, given, strict=True)
    )
    return Scored(value, None, ranks=wrong)


def _rank_faults(right: Sequence[Any], given: Sequence[Any]) -> tuple[float, ...]:
    """Return how far each row's rank among the answers is from its rank among right answers."""
    numpy, stats = needed("numpy"), needed("scipy.stats")
    one = stats.rankdata([item[0] for item in right])
    other = stats.rankdata([numpy.nan_to_num(item[0], nan=-numpy.inf) for item in given])
    return tuple(numpy.abs(one - other).tolist())


def _spearman(right: Any, given: Any) -> float:
    return float(needed("scipy.stats").spearmanr(right, given).statistic)


def _pearson(right: Any, given: Any) -> float:
    return float(needed("scipy.stats").pearsonr(right, given).statistic)


def _smape(right: Any, given: Any) -> float:
    # |F - A| / ((|A| + |F|) / 2) in percent, as in the M4 competition, is the mean absolute
    # percentage error from that mean of absolutes to it plus |F - A|.
    numpy, learn = needed("numpy"), needed("sklearn.metrics")
    middle = (numpy.abs(right) + numpy.abs(given)) / 2
    far = numpy.abs(given - right)
    known = middle > 0
    if not known.any():
        return 0.0
    share = learn.mean_absolute_percentage_error(middle[known], middle[known] + far[known])
    return float(100 * share * known.mean())


_NUMBER_WAYS: dict[Metric, Callable[[Any, Any], float]] = {
    Metric.SPEARMAN: _spearman,
    Metric.PEARSON: _pearson,
    Metric.MAE: lambda right, given: needed("sklearn.metrics").mean_absolute_error(right, given),
    Metric.RMSE: lambda right, given: needed("sklearn.metrics").root_mean_squared_error(
        right, given
    ),
    Metric.SMAPE: _smape,
    Metric.R2: lambda right, given: needed("sklearn.metrics").r2_score(right, given),
}


def _texts(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    right = [_text(pair.expected) for pair in pairs]
    given = [_text(pair.answered) for pair in pairs]
    if metric is Metric.WER:
        jiwer = needed("jiwer")

        def whole(one: list[str], other: list[str]) -> float:
            return float(jiwer.wer(one, other))
    else:
        kinds = needed("sacrebleu.metrics")
        scorer = kinds.BLEU() if metric is Metric.BLEU else kinds.CHRF()

        def whole(one: list[str], other: list[str]) -> float:
            return float(scorer.corpus_score(other, [one]).score)

    def value(rows: Sequence[int]) -> float:
        return whole([right[row] for row in rows], [given[row] for row in rows])

    alone = [_alone(metric, one, other) for one, other in zip(right, given, strict=True)]
    resamples = max(_FEWEST_RESAMPLES, min(_CHEAP_RESAMPLES, _TEXT_ROWS // max(1, len(pairs))))
    return Scored(value, tuple(alone), resamples=resamples)


def _alone(metric: Metric, right: str, given: str) -> float:
    """Return the score of one text."""
    if metric is Metric.WER:
        return float(needed("jiwer").wer(right, given))
    kinds = needed("sacrebleu.metrics")
    scorer = kinds.BLEU(effective_order=True) if metric is Metric.BLEU else kinds.CHRF()
    return float(scorer.sentence_score(given, [right]).score)


def _rouge(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    scorer = needed("rouge_score.rouge_scorer").RougeScorer([metric.value], use_stemmer=True)
    return _mean_of(
        [
            scorer.score(_text(pair.expected), _text(pair.answered))[metric.value].fmeasure
            for pair in pairs
        ]
    )


def _cosines(_metric: Metric, pairs: Sequence[Pair]) -> Scored:
    learn = needed("sklearn.metrics.pairwise")
    scores = []
    for pair in pairs:
        right = _expected_numbers(pair)
        given = [] if pair.answered is UNANSWERED else numbers_of(pair.answered)
        same = len(right) == len(given)
        scores.append(float(learn.cosine_similarity([right], [given])[0][0]) if same else 0.0)
    return _mean_of(scores)


def _rankings(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    return _mean_of(
        [
            0.0
            if pair.answered is UNANSWERED
            else ranking_scores(metric, pair.expected, pair.answered, pair.place)
            for pair in pairs
        ]
    )


_WAYS: dict[Metric, Callable[[Metric, Sequence[Pair]], Scored]] = {
    **dict.fromkeys(
        (Metric.ACCURACY, Metric.F1_MACRO, Metric.F1_MICRO, Metric.F1_WEIGHTED), _labels
    ),
    **dict.fromkeys(
        (Metric.EXACT_MATCH, Metric.NORMALISED_MATCH, Metric.JSON_EQUAL, Metric.CLOSE), _matches
    ),
    **dict.fromkeys(_NUMBER_WAYS, _numbers),
    **dict.fromkeys((Metric.BLEU, Metric.CHRF, Metric.WER), _texts),
    **dict.fromkeys((Metric.ROUGE_1, Metric.ROUGE_2, Metric.ROUGE_L), _rouge),
    **dict.fromkeys(
        (
            Metric.MRR,
            Metric.NDCG_10,
            Metric.RECALL_1,
            Metric.RECALL_5,
            Metric.RECALL_10,
            Metric.RECALL_100,
        ),
        _rankings,
    ),
    Metric.COSINE: _cosines,
}
