"""Metrics of numbers, and of lists of them, by scipy and scikit-learn. No I/O.

A row without an answer is left out, and the caller decides: no number stands for a missing one.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from mealkit.acceptance.packages import needed
from mealkit.acceptance.scored import UNANSWERED, Pair, Scored
from mealkit.errors import failure
from mealkit.recipe.claims import Metric
from mealkit.untrusted import shown

_CORRELATIONS = frozenset({Metric.SPEARMAN, Metric.PEARSON})
_OF_MANY = _CORRELATIONS | {Metric.R2}


def numbers_of(value: Any) -> list[float]:
    """Return a number, or a list of them, as a list; also from a text, as CSV has it.

    Raises:
        ValueError: it is something else.
    """
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


def expected_numbers(pair: Pair) -> list[float]:
    """Return the right answer's numbers.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``.
    """
    try:
        return numbers_of(pair.expected)
    except ValueError as error:
        message = f"the right answer cannot be compared: {error}"
        raise failure("TEST_DATA_INVALID", message, where=pair.place) from error


def number_scores(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    """Prepare a metric of numbers; every answer has as many as the right one."""
    numpy = needed("numpy")
    right = [numpy.asarray(expected_numbers(pair)) for pair in pairs]
    given = [
        numpy.full(len(one), numpy.nan)
        if pair.answered is UNANSWERED
        else numpy.asarray(numbers_of(pair.answered))
        for one, pair in zip(right, pairs, strict=True)
    ]
    compute = NUMBER_WAYS[metric]
    # One number has no correlation, and no share of a variance that is explained.
    fewest = 2 if metric in _OF_MANY else 1

    def value(rows: Sequence[int]) -> float:
        one = numpy.concatenate([right[row] for row in rows])
        other = numpy.concatenate([given[row] for row in rows])
        known = numpy.isfinite(other)
        return float(compute(one[known], other[known])) if known.sum() >= fewest else math.nan

    def values(chosen: Any) -> Any:
        # One line for each number, one column for each choice of rows.
        one, other = (numpy.moveaxis(item[chosen], -2, 0) for item in (wholes[0], wholes[1]))
        lines = [item.swapaxes(1, -1).reshape(-1, *item.shape[1:-1]) for item in (one, other)]
        return compute(*lines)

    wholes = [numpy.stack(right), numpy.stack(given)] if len({*map(len, right)}) == 1 else []
    is_whole = bool(wholes) and bool(numpy.isfinite(wholes[1]).all())
    if metric in _CORRELATIONS:
        ranks = _rank_faults(right, given)
    else:
        ranks = tuple(
            float(numpy.nan_to_num(numpy.abs(one - other), nan=numpy.inf).max())
            for one, other in zip(right, given, strict=True)
        )
    return Scored(value, values if is_whole else None, ranks=ranks)


def _rank_faults(right: Sequence[Any], given: Sequence[Any]) -> tuple[float, ...]:
    """Return how far each row's rank among the answers is from its rank among right answers."""
    numpy, stats = needed("numpy"), needed("scipy.stats")
    one = stats.rankdata([item[0] for item in right])
    other = stats.rankdata([numpy.nan_to_num(item[0], nan=-numpy.inf) for item in given])
    return tuple(numpy.abs(one - other).tolist())


def _spearman(right: Any, given: Any) -> Any:
    stats = needed("scipy.stats")
    # The correlation of ranks; unlike spearmanr, pearsonr computes many at once.
    return stats.pearsonr(*(stats.rankdata(item, axis=0) for item in (right, given)), axis=0)[0]


def _pearson(right: Any, given: Any) -> Any:
    return needed("scipy.stats").pearsonr(right, given, axis=0)[0]


def _of_learn(name: str) -> Callable[[Any, Any], Any]:
    """Return a function of scikit-learn, for one column or for each of several."""

    def compute(right: Any, given: Any) -> Any:
        function = getattr(needed("sklearn.metrics"), name)
        return function(
            right, given, multioutput="raw_values" if right.ndim > 1 else "uniform_average"
        )

    return compute


def _smape(right: Any, given: Any) -> Any:
    # |F - A| / ((|A| + |F|) / 2) in percent, as in the M4 competition, is the mean absolute
    # percentage error from that mean of absolutes to it plus |F - A|.
    numpy = needed("numpy")
    middle, far = (numpy.abs(right) + numpy.abs(given)) / 2, numpy.abs(given - right)
    # Where both are 0, the error is 0.
    middle = numpy.where(middle > 0, middle, 1.0)
    return 100 * _of_learn("mean_absolute_percentage_error")(middle, middle + far)


NUMBER_WAYS: dict[Metric, Callable[[Any, Any], Any]] = {
    Metric.SPEARMAN: _spearman,
    Metric.PEARSON: _pearson,
    Metric.MAE: _of_learn("mean_absolute_error"),
    Metric.RMSE: _of_learn("root_mean_squared_error"),
    Metric.SMAPE: _smape,
    Metric.R2: _of_learn("r2_score"),
}
