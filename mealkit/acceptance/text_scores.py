"""Metrics of texts, by sacrebleu (BLEU, chrF), jiwer (word errors) and rouge-score. No I/O."""

from collections.abc import Callable, Sequence

from mealkit.acceptance.packages import needed
from mealkit.acceptance.scored import (
    CHEAP_RESAMPLES,
    FEWEST_RESAMPLES,
    Pair,
    Scored,
    mean_of,
    text_of,
)
from mealkit.recipe.claims import Metric

# The libraries read every text again for each resample.
_TEXT_ROWS = 100_000


def text_scores(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    """Prepare a metric of texts; a missing answer is the empty text."""
    right = [text_of(pair.expected) for pair in pairs]
    given = [text_of(pair.answered) for pair in pairs]
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

    one_text = _one_text(metric)
    alone = [one_text(one, other) for one, other in zip(right, given, strict=True)]
    resamples = max(FEWEST_RESAMPLES, min(CHEAP_RESAMPLES, _TEXT_ROWS // max(1, len(pairs))))
    return Scored(value, scores=tuple(alone), resamples=resamples)


def _one_text(metric: Metric) -> Callable[[str, str], float]:
    """Return what scores one text alone."""
    if metric is Metric.WER:
        jiwer = needed("jiwer")
        return lambda right, given: float(jiwer.wer(right, given))
    kinds = needed("sacrebleu.metrics")
    scorer = kinds.BLEU(effective_order=True) if metric is Metric.BLEU else kinds.CHRF()
    return lambda right, given: float(scorer.sentence_score(given, [right]).score)


def rouge_scores(metric: Metric, pairs: Sequence[Pair]) -> Scored:
    """Prepare ROUGE: the mean of the rows' F measures, with stemming."""
    scorer = needed("rouge_score.rouge_scorer").RougeScorer([metric.value], use_stemmer=True)
    return mean_of(
        [
            scorer.score(text_of(pair.expected), text_of(pair.answered))[metric.value].fmeasure
            for pair in pairs
        ]
    )
