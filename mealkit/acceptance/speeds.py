"""Speeds: asks for streams where they need them, and computes them from the replies. No I/O.

Percentiles are those of the standard library's statistics (the inclusive method).
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mealkit.acceptance.answer_journal import Reply
from mealkit.acceptance.asking import Asking
from mealkit.acceptance.questions import AnswerError, Question
from mealkit.acceptance.report import Latencies
from mealkit.recipe.claims import Metric

_FIRST_BOUND_SECONDS = 0.001
_PERCENTILES = {
    Metric.FIRST_TOKEN_P50_SECONDS: 50,
    Metric.FIRST_TOKEN_P95_SECONDS: 95,
    Metric.LATENCY_P50_SECONDS: 50,
    Metric.LATENCY_P95_SECONDS: 95,
    Metric.LATENCY_P99_SECONDS: 99,
}
FIRST_TOKEN = frozenset({Metric.FIRST_TOKEN_P50_SECONDS, Metric.FIRST_TOKEN_P95_SECONDS})
"""The metrics that need streams."""


def streamed(questions: Sequence[Question], asking: Asking) -> tuple[list[Question], Asking]:
    """Return questions whose answers are streams, and what asks them."""
    further = {"stream": True, "stream_options": {"include_usage": True}}
    asked = [replace(item, body={**item.body, **further}, read=_last_event) for item in questions]
    return asked, replace(asking, on_event=_has_text)


def _has_text(event: Any) -> bool:
    choices = event.get("choices") if isinstance(event, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict):
        return False
    delta = first.get("delta")
    return bool(first.get("text") or (isinstance(delta, dict) and delta.get("content")))


def _last_event(event: Any) -> None:
    if not isinstance(event, dict) or "error" in event:
        raise AnswerError("the stream ended with an error")


def speed(metric: Metric, replies: Sequence[Reply], texts: int, seconds: float) -> float | None:
    """Return a metric's value; None if the answers do not say enough.

    ``texts`` is the number of texts that were asked, and ``seconds`` the time for all of them.
    """
    answered = [reply for reply in replies if reply.problem is None]
    if metric is Metric.TEXTS_PER_SECOND:
        return texts / seconds if seconds > 0 and answered else None
    if metric is Metric.TOKENS_PER_SECOND:
        counted = [reply.tokens for reply in answered if reply.tokens is not None]
        return sum(counted) / seconds if seconds > 0 and len(counted) == len(answered) > 0 else None
    if metric in FIRST_TOKEN:
        values = [item for reply in answered if (item := reply.first_token_seconds) is not None]
    else:
        values = [reply.seconds for reply in answered]
    return percentile(values, _PERCENTILES[metric]) if values else None


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of one value or more."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def latencies(replies: Sequence[Reply]) -> Latencies | None:
    """Return how long the answers took; None if there are none."""
    values = [reply.seconds for reply in replies if reply.problem is None]
    if not values:
        return None
    p50, p95, p99 = (percentile(values, percent) for percent in (50, 95, 99))
    return Latencies(
        requests=len(values),
        p50_seconds=p50,
        p95_seconds=p95,
        p99_seconds=p99,
        histogram=_histogram(values),
    )


def _histogram(values: Sequence[float]) -> tuple[tuple[float, int], ...]:
    """Count values between bounds, each twice the one before."""
    bound, left = _FIRST_BOUND_SECONDS, sorted(values)
    bars: list[tuple[float, int]] = []
    while left:
        within = sum(1 for value in left if value <= bound)
        if within or bars:
            bars.append((bound, within))
        left, bound = left[within:], bound * 2
    return tuple(bars)
