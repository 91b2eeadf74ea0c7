"""Encoders of whole texts: vectors, labels and scores, each text computed separately.

Raises errors for models whose output does not fit the task, and for invalid numbers. Texts are
never computed in one batch, because torch's sums depend on the shape of the batch, and so would the
vectors. Imports the engine, so only modules that are imported in ``load`` may import this module.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mealkit.engines.transformers.config import ModelConfig
from mealkit.engines.transformers.loading import load_model
from mealkit.engines.transformers.tokenizer import converted
from mealkit.engines.transformers.torch_problems import engine_problems
from mealkit.errors import failure
from mealkit.worker.encoding_values import EmbeddingConfig, ScoringConfig
from mealkit.worker.interface import (
    Classifications,
    Embeddings,
    IsCancelled,
    Relevance,
    require_waiting,
)
from mealkit.worker.request_queue import RequestQueue
from mealkit.worker.tokenizer.encode import TextTokenizer, Tokens
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer

# The minimum of sentence-transformers' divisor, which keeps a zero vector zero.
_SMALLEST_NORM = 1e-12


class Embedder:
    """Computes the vectors of texts; several threads may use it concurrently."""

    def __init__(self, config: ModelConfig, how: EmbeddingConfig) -> None:
        self._how = how
        self.tokenizer = _tokenizer(config, how.max_length)
        # Some encoders end with a pooler, which many weights lack and no vector here needs.
        self._run = _Run("AutoModel", config, spare=("pooler.",))
        self._run.warm(self._vector, how.max_length)

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled, *, truncate: bool
    ) -> Embeddings:
        """Embed each text as if it were alone; see ``EmbeddingWorker``."""
        tokens = self.tokenizer.texts(texts, truncate=truncate)
        vectors = self._run.each(self._vector, tokens, is_cancelled)
        found = [vector.astype("<f4", copy=False).tobytes() for vector in vectors]
        return Embeddings(found, len(vectors[0]), [len(item.ids) for item in tokens])

    def _vector(self, found: Any) -> torch.Tensor:
        hidden: torch.Tensor = found.last_hidden_state[0].float()
        vector = hidden[0] if self._how.pooling == "cls" else hidden.mean(dim=0)
        return vector / vector.norm().clamp_min(_SMALLEST_NORM) if self._how.normalize else vector


class Classifier:
    """Computes the probabilities of a text's labels; several threads may use it concurrently."""

    def __init__(self, config: ModelConfig, how: ScoringConfig) -> None:
        self._function = how.function
        self.tokenizer = _tokenizer(config, how.max_length)
        self._run = _Run("AutoModelForSequenceClassification", config)
        names = self._run.model.config.id2label
        self._labels = tuple(str(names[number]) for number in sorted(names))
        if how.function == "softmax" and len(self._labels) == 1:
            message = "the model has one label, whose softmax is always 1"
            raise failure("ENGINE_START", message, where="hyperparameters.function")
        self._run.warm(self._probabilities, how.max_length)

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Classifications:
        """Classify each text as if it were alone; see ``ClassificationWorker``."""
        tokens = self.tokenizer.texts(texts)
        found = [row.tolist() for row in self._run.each(self._probabilities, tokens, is_cancelled)]
        return Classifications(self._labels, found, [len(item.ids) for item in tokens])

    def _probabilities(self, found: Any) -> torch.Tensor:
        logits = _logits(found, len(self._labels))
        return logits.softmax(dim=0) if self._function == "softmax" else logits.sigmoid()


class Reranker:
    """Computes documents' scores for a query; several threads may use it concurrently."""

    def __init__(self, config: ModelConfig, how: ScoringConfig) -> None:
        self._function = how.function
        self.tokenizer = _tokenizer(config, how.max_length)
        self._run = _Run("AutoModelForSequenceClassification", config)
        self._run.warm(self._score, how.max_length)

    def rerank(self, query: str, documents: Sequence[str], is_cancelled: IsCancelled) -> Relevance:
        """Score each document as if it were alone; see ``RerankingWorker``."""
        tokens = self.tokenizer.pairs(query, documents)
        scores = [float(row[0]) for row in self._run.each(self._score, tokens, is_cancelled)]
        return Relevance(scores, [len(item.ids) for item in tokens])

    def _score(self, found: Any) -> torch.Tensor:
        logits = _logits(found, 1)
        return logits.sigmoid() if self._function == "sigmoid" else logits


class _Run:
    """A model, and the queue of the threads that use it."""

    def __init__(self, auto_class: str, config: ModelConfig, spare: Sequence[str] = ()) -> None:
        self.model = load_model(auto_class, config, spare)
        self._root = str(config.root)
        self._device = config.device
        self._has_types = "token_type_ids" in inspect.signature(self.model.forward).parameters
        self._queue = RequestQueue()

    def each(
        self,
        read: Callable[[Any], torch.Tensor],
        tokens: Sequence[Tokens],
        is_cancelled: IsCancelled,
    ) -> list[NDArray[np.float32]]:
        """Compute inputs one by one, and convert the model's output for each to numbers."""
        found = []
        for item in tokens:
            with self._queue:
                # Checked after the wait in the queue, which may have taken long.
                require_waiting(is_cancelled)
                found.append(self._one(read, item))
        return found

    def _one(self, read: Callable[[Any], torch.Tensor], tokens: Tokens) -> NDArray[np.float32]:
        with engine_problems("ENGINE_ANSWER", f"on {len(tokens.ids)} tokens"):
            found = self._numbers(read, tokens)
        if not np.isfinite(found).all():
            raise failure("ENGINE_ANSWER", "the model's answer contains infinite or missing values")
        return found

    def warm(self, read: Callable[[Any], torch.Tensor], length: int) -> None:
        """Compute an input of the maximum length, so that errors occur before the first request."""
        with engine_problems("ENGINE_START", f"on max_length {length} tokens", self._root):
            self._numbers(read, Tokens([0] * length, [0] * length))

    def _numbers(self, read: Callable[[Any], torch.Tensor], tokens: Tokens) -> NDArray[np.float32]:
        given = {"input_ids": tokens.ids, "attention_mask": [1] * len(tokens.ids)}
        if self._has_types:
            given["token_type_ids"] = tokens.type_ids
        rows = {name: self._row(values) for name, values in given.items()}
        with torch.inference_mode():
            numbers: NDArray[np.float32] = read(self.model(**rows, return_dict=True)).cpu().numpy()
        return numbers

    def _row(self, values: Sequence[int]) -> torch.Tensor:
        return torch.tensor([list(values)], dtype=torch.int64, device=self._device)


def _tokenizer(config: ModelConfig, max_length: int) -> TextTokenizer:
    return TextTokenizer(open_tokenizer(config.root, converted), max_length)


def _logits(found: Any, expected: int) -> torch.Tensor:
    logits: torch.Tensor = found.logits[0].float()
    if logits.shape != (expected,):
        message = f"the model's output for an input is {tuple(logits.shape)}, expected {expected}"
        raise failure("ENGINE_START", message)
    return logits
