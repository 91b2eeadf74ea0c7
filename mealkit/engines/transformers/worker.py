"""The transformers engine's worker: runs torch with safetensors, all settings from the lock.

Raises errors for inputs over the limit, which are never truncated, and for unknown settings.
Imports the engine in ``load``, after switching off everything that could use the network.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from mealkit.engines.transformers.config import ModelConfig
from mealkit.errors import failure
from mealkit.worker.encoding_values import EmbeddingConfig, ScoringConfig
from mealkit.worker.generation.pinned_values import GenerationConfig
from mealkit.worker.generation_values import (
    ChatInput,
    CompletionInput,
    GenerationEvent,
    Message,
)
from mealkit.worker.interface import (
    Classifications,
    Embeddings,
    IsCancelled,
    Relevance,
    WorkerConfig,
    never,
)

if TYPE_CHECKING:
    from mealkit.engines.transformers.encoders import Classifier, Embedder, Reranker
    from mealkit.worker.generation.generator import Generator

T = TypeVar("T")

# The libraries read these when they are imported. Each has its own variable for the offline mode.
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class TransformersWorker:
    """A worker for generation, embeddings, classification or reranking, depending on its task."""

    def __init__(self) -> None:
        self._generator: Generator | None = None
        self._embedder: Embedder | None = None
        self._classifier: Classifier | None = None
        self._reranker: Reranker | None = None

    def load(self, config: WorkerConfig) -> None:
        """Read the model.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
            EngineError: ``WEIGHTS_MISSING``, ``ENGINE_REMOTE_CODE``, ``ENGINE_OUT_OF_MEMORY`` or
                ``ENGINE_START``.
            PreflightError: ``HW_NO_GPU``.
        """
        model = ModelConfig.of(config)
        os.environ.update(_ENVIRONMENT)
        # Each answering thread asks OpenMP separately, and would otherwise use all processors.
        os.environ.update(dict.fromkeys(_THREADS, str(model.threads)))
        if model.trust_remote_code:
            # transformers copies a model's code to this folder before it imports it.
            os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp(prefix="mealkit-code-")
        try:
            self._load(config, model)
        except ImportError as error:
            raise failure("ENGINE_START", f"the engine cannot be imported: {error}") from error

    def _load(self, config: WorkerConfig, model: ModelConfig) -> None:
        """Load the parts for the task; this imports the engine."""
        match config.task:
            case "embeddings":
                how = EmbeddingConfig.of(config)
                from mealkit.engines.transformers.encoders import Embedder  # noqa: PLC0415

                self._embedder = Embedder(model, how)
            case "classification":
                scoring = ScoringConfig.of(config, ("softmax", "sigmoid"))
                from mealkit.engines.transformers.encoders import Classifier  # noqa: PLC0415

                self._classifier = Classifier(model, scoring)
            case "reranking":
                scoring = ScoringConfig.of(config, ("sigmoid", "none"))
                from mealkit.engines.transformers.encoders import Reranker  # noqa: PLC0415

                self._reranker = Reranker(model, scoring)
            case _:
                self._generator = _generator(config, model)

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled = never, *, truncate: bool = False
    ) -> Embeddings:
        """Embed texts; each gets the same vector as alone. See ``EmbeddingWorker``."""
        return _ready(self._embedder).embed(texts, is_cancelled, truncate=truncate)

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled = never) -> Classifications:
        """Classify texts, each as if it were alone. See ``ClassificationWorker``."""
        return _ready(self._classifier).classify(texts, is_cancelled)

    def rerank(
        self, query: str, documents: Sequence[str], is_cancelled: IsCancelled = never
    ) -> Relevance:
        """Score documents, each as if it were alone. See ``RerankingWorker``."""
        return _ready(self._reranker).rerank(query, documents, is_cancelled)

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation. See ``GenerationWorker``."""
        return _ready(self._generator).chat(request, is_cancelled)

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Continue a text. See ``GenerationWorker``."""
        return _ready(self._generator).complete(request, is_cancelled)

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens of a text of any length. See ``TokenizingWorker``."""
        encoder = self._embedder or self._classifier or self._reranker
        return encoder.tokenizer.ids(text) if encoder else _ready(self._generator).tokenize(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. See ``DetokenizingWorker``."""
        return _ready(self._embedder).tokenizer.text(tokens)

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens that ``chat`` would get. See ``GenerationWorker``."""
        return _ready(self._generator).tokenize_chat(messages)


def _generator(config: WorkerConfig, model: ModelConfig) -> "Generator":
    GenerationConfig.of(config)  # first: reading a model takes long
    from mealkit.engines.transformers.model import CausalModel  # noqa: PLC0415
    from mealkit.worker.generation.generator import Generator  # noqa: PLC0415

    return Generator(CausalModel(model), config)


def _ready(part: T | None) -> T:
    if part is None:
        raise failure("NOT_READY", "the worker has not loaded")
    return part
