"""Retrieval: asks for the vectors of a corpus, and ranks its documents for a query by cosine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.acceptance.answer_journal import Reply
from mealkit.acceptance.asking import Asking
from mealkit.acceptance.packages import needed
from mealkit.acceptance.questions import AnswerError, corpus_question
from mealkit.acceptance.rows import Row, column
from mealkit.errors import failure
from mealkit.recipe.claims import AskRetrieval
from mealkit.recipe.lock import Lock

_BATCH_TEXTS = 32


class CorpusError(Exception):
    """The kit does not answer for the documents of a corpus, so no query can be ranked."""

    def __init__(self, place: str, reply: Reply) -> None:
        super().__init__(f"the kit does not answer for the documents from {place}: {reply.message}")
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents' identifiers and vectors."""

    names: tuple[str, ...]
    vectors: Any

    def relevance(self, query: Sequence[float]) -> dict[str, float]:
        """Return the cosine of each document's vector and the query's.

        Raises:
            AnswerError: the query's vector has another length.
        """
        length = self.vectors.shape[1]
        if len(query) != length:
            raise AnswerError(f"the vector has {len(query)} numbers, the documents' have {length}")
        pairwise = needed("sklearn.metrics.pairwise")
        scores = pairwise.cosine_similarity([query], self.vectors)[0]
        return dict(zip(self.names, scores.tolist(), strict=True))


def corpus_of(
    ask: AskRetrieval, lock: Lock, rows: tuple[str, Sequence[Row]], asking: Asking, concurrency: int
) -> Corpus:
    """Return the corpus of a claim; ``rows`` are its file's name and rows.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``.
        CorpusError: the kit does not answer for a document.
    """
    file, documents = rows
    names, texts = [], []
    for number, row in enumerate(documents, 1):
        names.append(str(column(row, ask.document_id, number, file)))
        text = column(row, ask.document, number, file)
        if not isinstance(text, str):
            message = f"the value in the column {ask.document} is not a text"
            raise failure("TEST_DATA_INVALID", message, where=f"{file}:{number}")
        texts.append(text)
    if len(set(names)) != len(names):
        raise failure("TEST_DATA_INVALID", "two documents have the same identifier", where=file)
    starts = range(0, len(texts), _BATCH_TEXTS)
    batches = [texts[start : start + _BATCH_TEXTS] for start in starts]
    questions = [corpus_question(lock, batch, ask.parameters) for batch in batches]
    asking.listener.asking(file, len(questions))
    vectors: list[Sequence[float]] = []
    for reply, batch, start in zip(
        asking.ask_all(questions, concurrency), batches, starts, strict=True
    ):
        checked = _checked(reply, len(batch), vectors[:1])
        if checked.problem is not None:
            raise CorpusError(f"{file}:{start + 1}", checked)
        vectors.extend(checked.value)
    return Corpus(tuple(names), needed("numpy").asarray(vectors))


def _checked(reply: Reply, documents: int, before: Sequence[Sequence[float]]) -> Reply:
    """Return a reply, or the problem that its vectors are not one for each document, all alike."""
    if reply.problem is not None:
        return reply
    if len(reply.value) != documents:
        return reply.wrong(f"the answer has {len(reply.value)} vectors for {documents} documents")
    if len({len(vector) for vector in (*before, *reply.value)}) > 1:
        return reply.wrong("the vectors have different lengths")
    return reply
