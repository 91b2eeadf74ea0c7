"""Scores the order of a row's documents, with scikit-learn."""

from collections.abc import Callable, Mapping
from typing import Any

from mealkit.acceptance.packages import needed
from mealkit.errors import failure
from mealkit.recipe.claims import Metric

_CUTS = {
    Metric.RECALL_1: 1,
    Metric.RECALL_5: 5,
    Metric.RECALL_10: 10,
    Metric.RECALL_100: 100,
}


def ranking_scores(
    metric: Metric, expected: Any, answered: Mapping[str, float], place: str
) -> float:
    """Return a row's score: ``answered`` has the relevance of each document by its identifier.

    ``expected`` is the relevant document's identifier, or a list of them.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``, a relevant document is not among the documents.
    """
    numpy = needed("numpy")
    relevant = {str(item) for item in (expected if isinstance(expected, list) else [expected])}
    names = list(answered)
    missing = sorted(relevant - set(names))
    if missing or not relevant:
        what = f"{missing[0]!r} is not among them" if missing else "none is named"
        raise failure("TEST_DATA_INVALID", f"the relevant documents: {what}", where=place)
    truth = numpy.asarray([name in relevant for name in names], dtype=int)
    scores = numpy.asarray([answered[name] for name in names], dtype=float)
    return _way(metric)(truth, scores)


def _way(metric: Metric) -> Callable[[Any, Any], float]:
    if metric is Metric.MRR:
        return _reciprocal_rank
    if metric is Metric.NDCG_10:
        return _ndcg
    cut = _CUTS[metric]
    return lambda truth, scores: _recall(truth, scores, cut)


def _reciprocal_rank(truth: Any, scores: Any) -> float:
    # With one relevant document, the one ranked first, the average precision is 1 / its rank.
    numpy, learn = needed("numpy"), needed("sklearn.metrics")
    first = numpy.zeros_like(truth)
    first[numpy.where(truth == 1, scores, -numpy.inf).argmax()] = 1
    return float(learn.label_ranking_average_precision_score([first], [scores]))


def _ndcg(truth: Any, scores: Any) -> float:
    if len(truth) < 2:  # scikit-learn has no order of one document
        return float(truth[0])
    return float(needed("sklearn.metrics").ndcg_score([truth], [scores], k=10))


def _recall(truth: Any, scores: Any, cut: int) -> float:
    numpy, learn = needed("numpy"), needed("sklearn.metrics")
    found = numpy.zeros_like(truth)
    found[numpy.argsort(-scores, kind="stable")[:cut]] = 1
    return float(learn.recall_score(truth, found))
