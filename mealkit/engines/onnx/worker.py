"""The onnx engine's worker: text models with onnxruntime on the CPU, all settings from the lock.

Raises errors for inputs over ``max_length``, which are never truncated, and for unknown settings.
Imports the engine in ``load``, after switching off its telemetry.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mealkit.engines.onnx.config import GraphConfig
from mealkit.errors import MealkitError, failure
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
    from mealkit.engines.onnx.classifier import Classifier
    from mealkit.engines.onnx.encoder import Encoder
    from mealkit.engines.onnx.reranker import Reranker
    from mealkit.worker.generation.generator import Generator

# The libraries read these when they are imported. The first prevents onnxruntime's upload and the
# device id that it would store (Privacy.md in its wheel); the others limit the number of threads.
_ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class OnnxWorker:
    """A worker for embeddings, classification, reranking or generation, depending on its task.

    It reads tokenizer.json, an ONNX graph and, for labels, config.json from one folder; for
    generation also genai_config.json, which describes the graph, and the chat template.
    """

    def __init__(self) -> None:
        self._encoder: Encoder | None = None
        self._classifier: Classifier | None = None
        self._reranker: Reranker | None = None
        self._generator: Generator | None = None

    def prepare(self) -> None:
        """Import the engine, which takes most of the start, without reading the machine's facts."""
        _prepare()
        import mealkit.engines.onnx.encoder  # noqa: F401, PLC0415  see the module's docstring

    def load(self, config: WorkerConfig) -> None:
        """Read tokenizer and graph.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
            EngineError: ``WEIGHTS_MISSING``, ``ENGINE_REMOTE_CODE``, ``ENGINE_OUT_OF_MEMORY`` or
                ``ENGINE_START``.
        """
        graph = GraphConfig.of(config)
        match config.task:
            case "embeddings":
                self._load_encoder(graph, EmbeddingConfig.of(config))
            case "classification":
                self._load_classifier(graph, ScoringConfig.of(config, ("softmax", "sigmoid")))
            case "reranking":
                self._load_reranker(graph, ScoringConfig.of(config, ("sigmoid", "none")))
            case "generation":
                self._load_generator(graph, config)
            case _:
                message = f"onnx does not support the task {config.task!r}"
                raise failure("CONFIG_INVALID", message, where="worker.task")

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled = never, *, truncate: bool = False
    ) -> Embeddings:
        """Embed any number of texts; each gets the same vector as alone.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` or ``REQUEST_INVALID``, naming the text.
            EngineError: ``NOT_READY`` before ``load``; ``ENGINE_ANSWER``, the engine failed.
        """
        if self._encoder is None:
            raise _not_loaded("embeddings")
        return self._encoder.embed(texts, is_cancelled, truncate=truncate)

    def classify(self, texts: Sequence[str], is_cancelled: IsCancelled = never) -> Classifications:
        """Classify any number of texts; each gets the same probabilities as alone.

        Raises:
            MealkitError: as ``embed``.
        """
        if self._classifier is None:
            raise _not_loaded("classification")
        return self._classifier.classify(texts, is_cancelled)

    def rerank(
        self, query: str, documents: Sequence[str], is_cancelled: IsCancelled = never
    ) -> Relevance:
        """Score any number of documents; each gets the same score as alone.

        Raises:
            MealkitError: as ``embed``.
        """
        if self._reranker is None:
            raise _not_loaded("reranking")
        return self._reranker.rerank(query, documents, is_cancelled)

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation, as specified by ``Generator.chat``."""
        return self._loaded_generator().chat(request, is_cancelled)

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Continue a text, as specified by ``Generator.complete``."""
        return self._loaded_generator().complete(request, is_cancelled)

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens of a text of any length, special tokens included.

        Raises:
            EngineError: ``NOT_READY`` before ``load``.
        """
        model = self._encoder or self._classifier or self._reranker
        return model.tokenizer.ids(text) if model else self._loaded_generator().tokenize(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. See ``DetokenizingWorker``."""
        if self._encoder is None:
            raise _not_loaded("embeddings")
        return self._encoder.tokenizer.text(tokens)

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens of a conversation, as specified by ``Generator.tokenize_chat``."""
        return self._loaded_generator().tokenize_chat(messages)

    def _loaded_generator(self) -> "Generator":
        if self._generator is None:
            raise _not_loaded("generation")
        return self._generator

    # Each of these imports the engine: see the module's docstring.

    def _load_encoder(self, graph: GraphConfig, how: EmbeddingConfig) -> None:
        _prepare()
        from mealkit.engines.onnx.encoder import Encoder  # noqa: PLC0415

        self._encoder = Encoder(graph, how)

    def _load_classifier(self, graph: GraphConfig, how: ScoringConfig) -> None:
        _prepare()
        from mealkit.engines.onnx.classifier import Classifier  # noqa: PLC0415

        self._classifier = Classifier(graph, how)

    def _load_reranker(self, graph: GraphConfig, how: ScoringConfig) -> None:
        _prepare()
        from mealkit.engines.onnx.reranker import Reranker  # noqa: PLC0415

        self._reranker = Reranker(graph, how)

    def _load_generator(self, graph: GraphConfig, config: WorkerConfig) -> None:
        limit = GenerationConfig.of(config).max_length
        with _importing():
            from mealkit.engines.onnx.genai import GenaiModel  # noqa: PLC0415
            from mealkit.worker.generation.generator import Generator  # noqa: PLC0415
        self._generator = Generator(GenaiModel(graph, limit), config)


def _prepare() -> None:
    """Import the engine's libraries."""
    with _importing():
        import mealkit.engines.onnx.graph  # noqa: F401, PLC0415


@contextmanager
def _importing() -> Iterator[None]:
    """Set the libraries' environment, and raise ENGINE_START if they cannot be imported."""
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    except ImportError as error:
        raise failure("ENGINE_START", f"the engine cannot be imported: {error}") from error


def _not_loaded(task: str) -> MealkitError:
    return failure("NOT_READY", f"the worker has not loaded for {task}")
