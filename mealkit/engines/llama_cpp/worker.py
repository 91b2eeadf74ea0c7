"""The llama-cpp engine's worker: a GGUF in this process, every choice pinned.

Refuses inputs over ``max_length`` instead of cutting them, and settings that it does not know. The
engine is imported in ``load``.
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

# Read when the libraries are imported, or, the first, when llama.cpp gives up: it would start a
# debugger on its own process.
_ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class LlamaCppWorker:
    """A ``GenerationWorker`` or an ``EmbeddingWorker``, by the task that it is told."""

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._generator: Generator | None = None

    def prepare(self) -> None:
        """Import the engine; the machine and the model are not looked at yet."""
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
            # Late: the engine's own packages are imported here.
            from mealkit.engines.llama_cpp.embedder import Embedder  # noqa: PLC0415
            from mealkit.engines.llama_cpp.model import LlamaCppModel  # noqa: PLC0415
            from mealkit.worker.generation.generator import Generator  # noqa: PLC0415
        except ImportError as error:
            raise failure("ENGINE_START", f"the engine cannot be imported: {error}") from error
        if config.task == "embeddings":
            self._embedder = Embedder(checked)
        else:
            self._generator = Generator(LlamaCppModel(checked), config)

    def embed(self, texts: Sequence[str], is_cancelled: IsCancelled = never) -> Embeddings:
        """Embed texts of any number; each gets the vector that it would get alone.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` or ``REQUEST_INVALID``, naming the text.
            EngineError: ``NOT_READY`` before ``load``; ``ENGINE_ANSWER``, the engine failed.
        """
        if self._embedder is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._embedder.embed(texts, is_cancelled)

    def chat(self, request: ChatInput, is_cancelled: IsCancelled) -> Iterator[GenerationEvent]:
        """Answer a conversation, as ``Generator.chat`` promises."""
        return self._loaded_generator().chat(request, is_cancelled)

    def complete(
        self, request: CompletionInput, is_cancelled: IsCancelled
    ) -> Iterator[GenerationEvent]:
        """Go on with a text, as ``Generator.complete`` promises."""
        return self._loaded_generator().complete(request, is_cancelled)

    def tokenize(self, text: str) -> Sequence[int]:
        """Return the tokens that the model would see, special tokens included."""
        if self._embedder is not None:
            return self._embedder.tokenize(text)
        return self._loaded_generator().tokenize(text)

    def tokenize_chat(self, messages: Sequence[Message]) -> Sequence[int]:
        """Return the tokens of a conversation, as ``Generator.tokenize_chat`` promises."""
        return self._loaded_generator().tokenize_chat(messages)

    def _loaded_generator(self) -> "Generator":
        if self._generator is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._generator
