"""Asks a kit for the vectors of texts, and compares them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.acceptance.questions import AnswerError, cosine, vectors
from mealkit.errors import failure
from mealkit.pipeline.ask.kit_answers import AskedKit

_PATH = "/v1/embeddings"


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vector of each text, and the whole answer of the API."""

    vectors: tuple[tuple[float, ...], ...]
    whole: Any
    recipe: str | None


def embed(kit: AskedKit, texts: Sequence[str], prompt: str | None) -> Vectors:
    """Return the vectors of texts; ``prompt`` is the name of one of the kit's prompts.

    Raises:
        MealkitError: the kit refuses a text, or cannot answer.
    """
    named = {} if prompt is None else {"prompt": prompt}
    answer = kit.ask(_PATH, {"model": kit.model, "input": list(texts), **named})
    try:
        found = tuple(tuple(item) for item in vectors(answer.value))
    except AnswerError as error:
        raise failure("ENGINE_ANSWER", f"the answer has no vectors: {error}") from error
    if len(found) != len(texts):
        raise failure("ENGINE_ANSWER", f"{len(texts)} texts have {len(found)} vectors")
    return Vectors(found, answer.value, answer.recipe)


def similarities(found: Vectors) -> list[list[float]]:
    """Return the cosine of each vector with each one.

    Raises:
        EngineError: ``ENGINE_ANSWER``, they cannot be compared.
    """
    try:
        return [[cosine(first, second) for second in found.vectors] for first in found.vectors]
    except AnswerError as error:
        raise failure("ENGINE_ANSWER", str(error)) from error
