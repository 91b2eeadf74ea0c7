"""Computes a metric from right answers and answers, for all rows or some, by the field's libraries.

No I/O. The libraries are imported late. An unanswered row counts as wrong: as another label, an
empty text, or the score 0. Where an answer must be a number, the row is left out, and the caller
decides.
"""

import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mealkit.acceptance.json_values import same_json
from mealkit.acceptance.number_scores import (
    NUMBER_WAYS,
    expected_numbers,
    number_scores,
    numbers_of,
)
from mealkit.acceptance.packages import needed
from mealkit.acceptance.ranked import ranking_scores
from mealkit.acceptance.scored import UNANSWERED, Pair, Scored, mean_of, text_of
from mealkit.acceptance.text_scores import rouge_scores, text_scores
from mealkit.recipe.claims import Metric
from mealkit.untrusted import UntrustedError, parse_json

_NO_LABEL = "\0unanswered"
_NO_NUMBER = -1
_LABEL_RESAMPLES = 200


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
        if metric in NUMBER_WAYS or metric in {Metric.CLOSE, Metric.COSINE}:
            right, given = expected_numbers(pair), numbers_of(pair.answered)
            if len(right) != len(given):
                return f"the answer has {len(given)} numbers, the right answer has {len(right)}"
    except ValueError as error:
        return str(error)
    return None


def _labels(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    learn, numpy = needed("sklearn.metrics"), needed("numpy")
    texts = [text_of(pair.expected) for pair in pairs]
    texts += [
        _NO_LABEL if pair.answered is UNANSWERED else text_of(pair.answered) for pair in pairs
    ]
    # Scikit-learn compares numbers many times faster than texts, and each resample asks it again.
    numbers = {text: number for number, text in enumerate(sorted(set(texts) - {_NO_LABEL}))}
    codes = numpy.asarray([numbers.get(text, _NO_NUMBER) for text in texts])
    right, given = codes[: len(pairs)], codes[len(pairs) :]
    average = {Metric.F1_MACRO: "macro", Metric.F1_MICRO: "micro", Metric.F1_WEIGHTED: "weighted"}

    def value(rows: Sequence[int]) -> float:
        one, other = right[list(rows)], given[list(rows)]
        if metric is Metric.ACCURACY:
            return float(learn.accuracy_score(one, other))
        known = sorted((set(one.tolist()) | set(other.tolist())) - {_NO_NUMBER})
        form = {"labels": known, "average": average[metric], "zero_division": 0}
        return float(learn.f1_score(one, other, **form))

    hits = (right == given).astype(float)
    scores = tuple(hits.tolist())
    if metric is Metric.ACCURACY:
        return Scored(value, lambda chosen: hits[chosen].mean(axis=-1), scores)
    return Scored(value, scores=scores, resamples=_LABEL_RESAMPLES)


def _matches(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    same = {
        Metric.EXACT_MATCH: lambda one, other: text_of(one) == text_of(other),
        Metric.NORMALISED_MATCH: lambda one, other: _normalised(one) == _normalised(other),
        Metric.JSON_EQUAL: _are_same_json,
        Metric.CLOSE: _are_close,
    }[metric]
    return mean_of(
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
    return str(steps(unicodedata.normalize("NFKC", text_of(value))))


def _are_same_json(expected: Any, answered: Any) -> bool:
    """Compare JSON, which may be written as a text by a model, or in CSV."""
    return same_json(expected, answered) or same_json(_parsed(expected), _parsed(answered))


def _parsed(value: Any) -> Any:
    if isinstance(value, str):
        with suppress(UntrustedError):
            return parse_json(value.encode())
    return value


def _are_close(expected: Any, answered: Any) -> bool:
    numpy = needed("numpy")
    right, given = numbers_of(expected), numbers_of(answered)
    return len(right) == len(given) and bool(numpy.allclose(given, right))


def _cosines(_metric: Metric, pairs: Sequence[Pair]) -> Scored:
    learn = needed("sklearn.metrics.pairwise")
    scores = []
    for pair in pairs:
        right = expected_numbers(pair)
        given = [] if pair.answered is UNANSWERED else numbers_of(pair.answered)
        same = len(right) == len(given)
        scores.append(float(learn.cosine_similarity([right], [given])[0][0]) if same else 0.0)
    return mean_of(scores)


def _rankings(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    return mean_of(
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
    **dict.fromkeys(NUMBER_WAYS, number_scores),
    **dict.fromkeys((Metric.BLEU, Metric.CHRF, Metric.WER), text_scores),
    **dict.fromkeys((Metric.ROUGE_1, Metric.ROUGE_2, Metric.ROUGE_L), rouge_scores),
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
