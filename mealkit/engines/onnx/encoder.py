"""The model for the task embeddings: the vectors of tokens, pooled to one vector per text."""

from collections.abc import Sequence
from functools import partial

from mealkit.engines.onnx.config import GraphConfig
from mealkit.engines.onnx.graph import Graph
from mealkit.engines.onnx.pooling import pooled
from mealkit.worker.encoding_values import EmbeddingConfig
from mealkit.worker.interface import Embeddings, IsCancelled
from mealkit.worker.tokenizer.encode import TextTokenizer
from mealkit.worker.tokenizer.tokenizer_file import open_tokenizer


class Encoder:
    """Computes the vectors of texts; several threads may use it concurrently."""

    def __init__(self, config: GraphConfig, how: EmbeddingConfig) -> None:
        self.tokenizer = TextTokenizer(open_tokenizer(config.root), how.max_length)
        read = partial(pooled, how=how.pooling, normalize=how.normalize)
        self._graph = Graph(config, "last_hidden_state", read, how.max_length)

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled, *, truncate: bool
    ) -> Embeddings:
        """Embed each text as if it were alone; see ``EmbeddingWorker``."""
        tokens = self.tokenizer.texts(texts, truncate=truncate)
        vectors = [row.tobytes() for row in self._graph.rows(tokens, is_cancelled)]
        return Embeddings(vectors, self._graph.width, [len(item.ids) for item in tokens])
