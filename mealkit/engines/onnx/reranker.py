"""The model for the task reranking: a cross-encoder, with one logit for a query and a document.

Raises EngineError for graphs with another number of logits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mealkit.engines.onnx.config import GraphConfig
from mealkit.engines.onnx.graph import Graph
from mealkit.engines.onnx.scoring import sigmoid
from mealkit.errors import failure
from mealkit.worker.encoding_values import ScoringConfig
from mealkit.worker.interface import IsCancelled, Relevance
from mealkit.worker.tokenizer.encode import TextTokenizer
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer


class Reranker:
    """Computes documents' scores for a query; several threads may use it concurrently."""

    def __init__(self, config: GraphConfig, how: ScoringConfig) -> None:
        self.tokenizer = TextTokenizer(open_tokenizer(config.root), how.max_length)
        self._function = how.function
        self._graph = Graph(config, "logits", _logit, how.max_length)

    def rerank(self, query: str, documents: Sequence[str], is_cancelled: IsCancelled) -> Relevance:
        """Score each document as if it were alone; see ``RerankingWorker``."""
        tokens = self.tokenizer.pairs(query, documents)
        logits = self._graph.rows(tokens, is_cancelled)
        found = [sigmoid(row) if self._function == "sigmoid" else row for row in logits]
        return Relevance([float(row[0]) for row in found], [len(item.ids) for item in tokens])


def _logit(found: NDArray[np.float32]) -> NDArray[np.float32]:
    if found.ndim != 2 or found.shape[1] != 1:
        message = f"the graph's logits have the shape {found.shape}, expected one for each pair"
        raise failure("ENGINE_START", message)
    return found
