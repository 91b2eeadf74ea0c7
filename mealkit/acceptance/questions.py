"""Turns a row of a claim's data into a request, and the kit's answer into a value.

No I/O. Raises AnswerError for answers of another form than the endpoint has.
"""

import base64
import binascii
import json
import math
import operator
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mealkit.acceptance.json_values import at_pointer
from mealkit.acceptance.rows import Row, column
from mealkit.errors import failure
from mealkit.recipe.claims import (
    AskClassification,
    AskEmbedding,
    AskGeneration,
    AskPrediction,
    AskReranking,
    AskRetrieval,
    AskSimilarity,
    Claimed,
)
from mealkit.recipe.kit import Feature
from mealkit.recipe.lock import Lock

EMBEDDINGS_PATH, CLASSIFY_PATH, RERANK_PATH = "/v1/embeddings", "/v1/classify", "/v1/rerank"
CHAT_PATH, COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"
PREDICT_PATH = "/v1/predict"

Read = Callable[[Any], Any]
_Asked = tuple[str, Mapping[str, Any], Read]


class AnswerError(ValueError):
    """An answer has another form than its endpoint's; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request to the kit, and how its answer is read."""

    path: str
    body: Mapping[str, Any]
    read: Read
    """Return the value of an answer's JSON; raises AnswerError."""

    @property
    def data(self) -> bytes:
        """The body of the request."""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()

    def with_field(self, name: str, value: Any) -> "Question":
        """Return the question with one more field in its body."""
        return replace(self, body={**self.body, name: value})


@dataclass(frozen=True, slots=True)
class Asker:
    """Makes the questions of one claim."""

    lock: Lock
    claim: Claimed
    file: str
    """The name of the file with the rows, for messages."""

    def question(self, row: Row, number: int) -> Question:
        """Return the question for a row; ``number`` is the row's, from 1.

        Raises:
            AcceptanceError: ``TEST_DATA_INVALID``, the row lacks a column, or a value has another
                type than the question needs.
        """
        path, body, read = self._asked(row, number)
        further = self.claim.ask.parameters if self.claim.ask else {}
        return Question(path, {"model": self.lock.model.name, **body, **further}, read)

    def _asked(self, row: Row, number: int) -> _Asked:
        match self.claim.ask:
            case AskEmbedding(text=name) | AskRetrieval(query=name):
                return EMBEDDINGS_PATH, _texts(self._text(row, name, number)), vector
            case AskSimilarity() as ask:
                pair = [self._text(row, name, number) for name in (ask.first, ask.second)]
                return EMBEDDINGS_PATH, _texts(pair), _similarity
            case AskClassification() as ask:
                return CLASSIFY_PATH, {"input": self._text(row, ask.text, number)}, label
            case other:
                return self._asked_otherwise(other, row, number)

    def _asked_otherwise(self, ask: Any, row: Row, number: int) -> _Asked:
        match ask:
            case AskReranking():
                return self._ranking(row, ask, number)
            case AskGeneration():
                return self._generation(row, ask, number)
            case AskPrediction():
                names = ask.input or {name: name for name in row if name != self.claim.expected}
                given = {key: column(row, name, number, self.file) for key, name in names.items()}
                return PREDICT_PATH, {"input": given}, _output_at(ask.at)
            case _:
                raise ValueError("the claim has no question")

    def _ranking(self, row: Row, ask: AskReranking, number: int) -> _Asked:
        documents = column(row, ask.documents, number, self.file)
        if not isinstance(documents, list):
            raise failure(
                "TEST_DATA_INVALID",
                f"the column {ask.documents} is not a list of documents",
                where=f"{self.file}:{number}",
            )
        body = {"query": self._text(row, ask.query, number), "documents": documents}
        return RERANK_PATH, body, relevance(len(documents))

    def _generation(self, row: Row, ask: AskGeneration, number: int) -> _Asked:
        chats = Feature.CHAT in self.lock.engine.features
        if ask.messages is not None:
            given: dict[str, Any] = {"messages": column(row, ask.messages, number, self.file)}
        elif ask.prompt is not None:
            names = ask.variables
            values = {key: self._text(row, name, number) for key, name in names.items()}
            if chats:
                given = {"prompt": ask.prompt, "variables": values}
            else:
                given = {"prompt": {"name": ask.prompt, "variables": values}}
        else:
            text = self._text(row, ask.text or "", number)
            given = {"messages": [{"role": "user", "content": text}]} if chats else {"prompt": text}
        return CHAT_PATH if chats else COMPLETIONS_PATH, given, generated

    def _text(self, row: Row, name: str, number: int) -> str:
        value = column(row, name, number, self.file)
        if not isinstance(value, str):
            raise failure(
                "TEST_DATA_INVALID",
                f"the value in the column {name} is not a text",
                where=f"{self.file}:{number}",
            )
        return value


def corpus_question(lock: Lock, texts: Sequence[str], further: Mapping[str, Any]) -> Question:
    """Return the question for the vectors of a corpus's documents."""
    body = {"model": lock.model.name, **_texts(list(texts)), **further}
    return Question(EMBEDDINGS_PATH, body, vectors)


def _texts(texts: str | list[str]) -> dict[str, Any]:
    # A vector in base64 is a quarter of its size in digits, and has the same bits.
    return {"input": texts, "encoding_format": "base64"}


def _part(value: Any, *path: str | int) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError) as error:
            raise AnswerError(f"the answer has no {'.'.join(map(str, path))}") from error
    return value


def vectors(answer: Any) -> list[list[float]]:
    """Read the vectors of an answer, as numbers or in base64."""
    data = _part(answer, "data")
    if not isinstance(data, list):
        raise AnswerError("the answer's data is not a list")
    return [_numbers(_part(item, "embedding")) for item in data]


def vector(answer: Any) -> list[float]:
    """Read the first vector of an answer."""
    found = vectors(answer)
    if not found:
        raise AnswerError("the answer has no vector")
    return found[0]


def _numbers(given: Any) -> list[float]:
    try:
        if isinstance(given, str):
            data = base64.b64decode(given, validate=True)
            numbers = list(struct.unpack(f"<{len(data) // 4}f", data))
        else:
            numbers = [float(item) for item in given]
    except (binascii.Error, struct.error, TypeError, ValueError, OverflowError) as error:
        raise AnswerError("a vector is neither a list of numbers nor base64") from error
    # A sum with NaN or an infinite number is not finite; this costs less than asking of each.
    if not numbers or not math.isfinite(sum(numbers)):
        raise AnswerError("a vector is empty, or its numbers are not finite")
    return numbers


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine of two vectors; 0 if one of them is zero."""
    if len(first) != len(second):
        raise AnswerError(f"one vector has {len(first)} numbers, the other {len(second)}")
    try:
        lengths = math.hypot(*first) * math.hypot(*second)
        product = sum(map(operator.mul, first, second))
    except OverflowError as error:
        raise AnswerError("a number of the vector is too large") from error
    return product / lengths if lengths else 0.0


def _similarity(answer: Any) -> float:
    found = vectors(answer)
    if len(found) != 2:
        raise AnswerError(f"the answer has {len(found)} vectors, expected 2")
    return cosine(found[0], found[1])


def label(answer: Any) -> str:
    """Read the likeliest label of an answer's first text."""
    found = _part(answer, "data", 0, "label")
    if not isinstance(found, str):
        raise AnswerError("the answer's label is not a text")
    return found


def relevance(documents: int) -> Read:
    """Return what reads the relevance of each document, in the order of the request."""

    def read(answer: Any) -> list[float]:
        found: dict[int, float] = {}
        for item in _results(answer):
            score, index = _part(item, "relevance_score"), _part(item, "index")
            if not isinstance(index, int) or not isinstance(score, int | float):
                raise AnswerError("a result of the answer has no index or no relevance_score")
            try:
                found[index] = float(score)
            except OverflowError as error:
                raise AnswerError("a relevance_score of the answer is too large") from error
        if set(found) != set(range(documents)):
            raise AnswerError(f"the answer has {len(found)} results, expected {documents}")
        return [found[index] for index in range(documents)]

    return read


def ranking(answer: Any) -> list[int]:
    """Read the order of the documents of an answer: their positions in the request, best first."""
    return [_part(item, "index") for item in _results(answer)]


def _results(answer: Any) -> list[Any]:
    results = _part(answer, "results")
    if not isinstance(results, list):
        raise AnswerError("the answer's results are not a list")
    return results


def generated(answer: Any) -> str:
    """Read the generated text of an answer, of a chat or of a completion."""
    choice = _part(answer, "choices", 0)
    found = choice.get("text") if isinstance(choice, dict) and "text" in choice else None
    if found is None:
        found = _part(choice, "message", "content")
    if not isinstance(found, str):
        raise AnswerError("the answer has no text")
    return found


def output(answer: Any) -> Any:
    """Read the output of the paper's own code."""
    return _part(answer, "output")


def _output_at(pointer: str) -> Read:
    def read(answer: Any) -> Any:
        try:
            return at_pointer(output(answer), pointer)
        except LookupError as error:
            raise AnswerError(f"the output has no {pointer}") from error

    return read
