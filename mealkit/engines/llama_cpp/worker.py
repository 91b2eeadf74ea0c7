"""The llama-cpp engine's worker: runs a GGUF in this process, with all settings from the lock.

Raises errors for inputs over ``max_length``, which are never truncated, and for unknown settings.
Imports the engine in ``load``.
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mealkit.engines.llama_cpp.config import LlamaCppConfig
from mealkit.errors import failure
from mealkit.worker.generation_values import (
    ChatInput,
    CompletionInput,
    GenerationEvent,
    Message,
)
from mealkit.worker.interface import Embeddings, IsCancelled, WorkerConfig, never

if TYPE_CHECKING:
    from mealkit.engines.llama_cpp.embedder import Embedder
    from mealkit.worker.generation.generator import Generator

# The libraries read these when they are imported; llama.cpp reads the first one when it aborts, and
# would otherwise start a debugger on its own process.
_ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class LlamaCppWorker:
    """A ``GenerationWorker`` or an ``EmbeddingWorker``, depending on its task."""

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._generator: Generator | None = None

    def prepare(self) -> None:
        """Import the engine, without reading the machine's facts or the model."""
        os.environ.update(_ENVIRONMENT)

    def load(self, config: WorkerConfig) -> None:
        """Read the model.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
            EngineError: ``WEIGHTS_MISSING`` or ``ENGINE_START``.
        """
        checked = LlamaCppConfig.of(config)
        os.environ.update(_ENVIRONMENT)
        try:
            # Here, because this imports the engine's own packages.
            from mealkit.engines.llama_cpp.embedder import Embedder  # noqa: PLC0415
            from mealkit.engines.llama_cpp.model import LlamaCppModel  # noqa: PLC0415
            from mealkit.worker.generation.generator import Generator  # noqa: PLC0415
        except ImportError as error:
            raise failure("ENGINE_START", f"the engine cannot be imported: {error}") from error
        if config.task == "embeddings":
            self._embedder = Embedder(checked)
        else:
            self._generator = Generator(LlamaCppModel(checked), config)

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled = never, *, truncate: bool = False
    ) -> Embeddings:
        """Embed any number of texts; each gets the same vector as alone.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` or ``REQUEST_INVALID``, naming the text.
            EngineError: ``NOT_READY`` before ``load``; ``ENGINE_ANSWER``, the engine failed.
        """
        if self._embedder is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._embedder.embed(texts, is_cancelled, truncate=truncate)

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation, as specified by ``Generator.chat``."""
        return self._loaded_generator().chat(request, is_cancelled)

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Continue a text, as specified by ``Generator.complete``."""
        return self._loaded_generator().complete(request, is_cancelled)

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens that the model would get, including special tokens."""
        if self._embedder is not None:
            return self._embedder.tokenize(text)
        return self._loaded_generator().tokenize(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. See ``DetokenizingWorker``."""
        if self._embedder is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._embedder.detokenize(tokens)

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens of a conversation, as specified by ``Generator.tokenize_chat``."""
        return self._loaded_generator().tokenize_chat(messages)

    def _loaded_generator(self) -> "Generator":
        if self._generator is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._generator
