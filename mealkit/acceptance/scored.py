"""A metric over some rows of a claim, and its interval by bootstrap. No I/O."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.acceptance.packages import needed

UNANSWERED = object()
"""Stands for the answer of a row that the kit did not answer."""
CHEAP_RESAMPLES, FEWEST_RESAMPLES = 1000, 100
"""How many resamples an interval has, by the cost of the metric."""
_WITHOUT_INTERVAL_ROWS = 20_000
_CONFIDENCE = 0.95
_BATCH_VALUES = 1_000_000


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
    values: Callable[[Any], Any] | None = None
    """Return the values over many choices of rows at once: a matrix with a choice in each line."""
    scores: tuple[float, ...] | None = None
    """The rows' own scores; None if only many rows have a score together."""
    ranks: tuple[float, ...] | None = None
    """How wrong each row is, if it has no score: larger is worse."""
    resamples: int = CHEAP_RESAMPLES
    """How many resamples the interval needs at an acceptable cost."""


def interval(made: Scored, rows: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric by bootstrap over the rows; None if it has none."""
    if rows < 2 or rows > _WITHOUT_INTERVAL_ROWS:
        return None
    numpy, stats = needed("numpy"), needed("scipy.stats")
    found = stats.bootstrap(
        (numpy.arange(rows),),
        lambda chosen, axis: _each(made, chosen.astype(int), axis),
        n_resamples=made.resamples,
        batch=max(1, _BATCH_VALUES // rows),
        vectorized=True,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=numpy.random.default_rng(0),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if numpy.isfinite(low) and numpy.isfinite(high) else None


def _each(made: Scored, chosen: Any, axis: int) -> Any:
    """Return a metric's value for each choice of rows."""
    if made.values is not None:
        return made.values(chosen)
    return needed("numpy").apply_along_axis(made.value, axis, chosen)


def text_of(value: Any) -> str:
    """Return an answer as a text; a missing one is empty."""
    if value is UNANSWERED:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def mean_of(scores: Sequence[float]) -> Scored:
    """Return a metric that is the mean of the rows' scores."""
    numpy = needed("numpy")
    values = numpy.asarray(scores, dtype=float)
    return Scored(
        lambda rows: float(values[list(rows)].mean()),
        lambda chosen: values[chosen].mean(axis=-1),
        scores=tuple(map(float, scores)),
    )
