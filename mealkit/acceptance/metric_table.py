"""The metrics: for which kinds of questions each is, which values are better, what computes it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mealkit.recipe.claims import Metric


@dataclass(frozen=True, slots=True)
class MetricTraits:
    """What other rooms must know of a metric."""

    kinds: frozenset[str]
    """The kinds of questions whose answers it can measure."""
    packages: tuple[str, ...]
    """The distributions that compute it, besides the interval's; empty for speed and memory."""
    larger_is_better: bool
    """Whether a larger value is better."""
    is_speed: bool = False
    """Whether it measures speed or memory, and not the answers."""
    needs_data: bool = True
    """Whether it can be measured only by questions of the claim's own."""
    needs_number: bool = False
    """Whether an answer must be a number; there is none that a missing answer could count as."""
    range: tuple[float | None, float | None] = (0.0, None)
    """The smallest and the largest value that the metric can have; None: no bound."""


_LABELS = frozenset({"classification", "generation", "prediction"})
_TEXTS = frozenset({"generation", "prediction"})
_NUMBERS = frozenset({"similarity", "generation", "prediction"})
_RANKINGS = frozenset({"retrieval", "reranking"})
_EVERY = frozenset(
    {
        "embedding",
        "similarity",
        "retrieval",
        "classification",
        "reranking",
        "generation",
        "prediction",
    }
)

_LEARN = ("scikit-learn",)
_SHARE, _SIGNED, _POINTS = (0.0, 1.0), (-1.0, 1.0), (0.0, 100.0)
_LABEL = MetricTraits(_LABELS, _LEARN, larger_is_better=True, range=_SHARE)
_MATCH = MetricTraits(_LABELS, _LEARN, larger_is_better=True, range=_SHARE)
_CORRELATION = MetricTraits(
    _NUMBERS, ("scipy",), larger_is_better=True, needs_number=True, range=_SIGNED
)
_ERROR = MetricTraits(_NUMBERS, _LEARN, larger_is_better=False, needs_number=True)
_RANKING = MetricTraits(_RANKINGS, _LEARN, larger_is_better=True, range=_SHARE)
_TEXT = MetricTraits(_TEXTS, ("sacrebleu",), larger_is_better=True, range=_POINTS)
_ROUGE = MetricTraits(_TEXTS, ("rouge-score",), larger_is_better=True, range=_SHARE)
_SECONDS = MetricTraits(_EVERY, (), larger_is_better=False, is_speed=True)
_RATE = MetricTraits(_EVERY, (), larger_is_better=True, is_speed=True)
_STREAMED = MetricTraits(frozenset({"generation"}), (), larger_is_better=False, is_speed=True)
_START = MetricTraits(frozenset(), (), larger_is_better=False, is_speed=True, needs_data=False)
_MEMORY = MetricTraits(_EVERY, (), larger_is_better=False, is_speed=True, needs_data=False)

METRICS: Mapping[Metric, MetricTraits] = {
    Metric.ACCURACY: _LABEL,
    Metric.F1_MACRO: _LABEL,
    Metric.F1_MICRO: _LABEL,
    Metric.F1_WEIGHTED: _LABEL,
    Metric.EXACT_MATCH: _MATCH,
    Metric.NORMALISED_MATCH: MetricTraits(_TEXTS, ("jiwer",), larger_is_better=True, range=_SHARE),
    Metric.SPEARMAN: _CORRELATION,
    Metric.PEARSON: _CORRELATION,
    Metric.MRR: _RANKING,
    Metric.NDCG_10: _RANKING,
    Metric.RECALL_1: _RANKING,
    Metric.RECALL_5: _RANKING,
    Metric.RECALL_10: _RANKING,
    Metric.RECALL_100: _RANKING,
    Metric.BLEU: _TEXT,
    Metric.CHRF: _TEXT,
    Metric.ROUGE_1: _ROUGE,
    Metric.ROUGE_2: _ROUGE,
    Metric.ROUGE_L: _ROUGE,
    Metric.WER: MetricTraits(_TEXTS, ("jiwer",), larger_is_better=False),
    Metric.COSINE: MetricTraits(
        frozenset({"embedding", "prediction"}), _LEARN, larger_is_better=True, range=_SIGNED
    ),
    Metric.JSON_EQUAL: MetricTraits(_TEXTS, _LEARN, larger_is_better=True, range=_SHARE),
    Metric.CLOSE: MetricTraits(_NUMBERS, _LEARN, larger_is_better=True, range=_SHARE),
    Metric.MAE: _ERROR,
    Metric.RMSE: _ERROR,
    Metric.SMAPE: replace(_ERROR, range=(0.0, 200.0)),
    Metric.R2: MetricTraits(
        _NUMBERS, _LEARN, larger_is_better=True, needs_number=True, range=(None, 1.0)
    ),
    Metric.TOKENS_PER_SECOND: MetricTraits(
        frozenset({"generation"}), (), larger_is_better=True, is_speed=True
    ),
    Metric.TOKENS_PER_SECOND: replace(_RATE, kinds=frozenset({"generation"})),
    Metric.TEXTS_PER_SECOND: _RATE,
    Metric.FIRST_TOKEN_P50_SECONDS: _STREAMED,
    Metric.FIRST_TOKEN_P95_SECONDS: _STREAMED,
    Metric.LATENCY_P50_SECONDS: _SECONDS,
    Metric.LATENCY_P95_SECONDS: _SECONDS,
    Metric.LATENCY_P99_SECONDS: _SECONDS,
    Metric.START_SECONDS: _START,
    Metric.PEAK_MEMORY_BYTES: _MEMORY,
    Metric.PEAK_GPU_MEMORY_BYTES: _MEMORY,
}
"""Every metric. Memory is the peak until the claim is judged: of the whole test, or with data."""
