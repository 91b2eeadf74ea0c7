"""A worker without a model that classifies and reranks: numbers from words, one token per word."""

from collections.abc import Sequence

from mealkit.worker.interface import Classifications, IsCancelled, Relevance, WorkerConfig
from mealkit.worker.measuring import too_long

LABELS = ("even", "odd")
LIMIT = 100


class PlainScorer:
    """Labels a text by the number of its words, and scores a document by the words it shares.

    Texts: ``bug`` raises; ``short`` leaves its numbers out; ``nan`` gives no number.
    """

    def load(self, config: WorkerConfig) -> None:
        """Do nothing."""

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Classifications:
        """Call a text even or odd by its words."""
        counts = [_count(text, f"input {i}", f"input[{i}]") for i, text in enumerate(texts)]
        rows = [[0.25, 0.75] if count % 2 else [0.75, 0.25] for count in counts]
        rows = [[float("nan")] * 2 if t == "nan" else r for t, r in zip(texts, rows, strict=True)]
        kept = [row for text, row in zip(texts, rows, strict=True) if text != "short"]
        return Classifications(LABELS, kept, counts)

    def rerank(self, query: str, documents: Sequence[str], is_cancelled: IsCancelled) -> Relevance:
        """Count the words that a document shares with the query."""
        pairs = [f"{query} {document}" for document in documents]
        counts = [_count(p, f"document {i}", f"documents[{i}]") for i, p in enumerate(pairs)]
        asked = set(query.split())
        scores = [
            float("nan") if document == "nan" else float(len(asked & set(document.split())))
            for document in documents
            if document != "short"
        ]
        return Relevance(scores, counts)


def _count(text: str, name: str, where: str) -> int:
    words = text.split()
    if words[-1:] == ["bug"]:
        raise ZeroDivisionError("a bug")
    if len(words) > LIMIT:
        raise too_long(f"{name} has {len(words)} tokens", LIMIT, where)
    return len(words)
