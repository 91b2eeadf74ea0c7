"""The onnx engine's worker: text to vectors with onnxruntime on the CPU, every choice pinned.

Refuses inputs over ``max_length`` instead of cutting them, and settings that it does not know. The
engine is imported in ``load``, after its telemetry has been switched off.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mealkit.engines.onnx.config import EncoderConfig
from mealkit.engines.worker import Embeddings, WorkerConfig
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.engines.onnx.encoder import Encoder

# Read when the libraries are imported. The first prevents onnxruntime's uploader and the device id
# that it would persist (Privacy.md in its wheel); the others keep the threads to those we ask for.
_ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class OnnxWorker:
    """An ``EmbeddingWorker``: tokenizer.json and an ONNX graph from one folder."""

    def __init__(self) -> None:
        self._encoder: Encoder | None = None

    def load(self, config: WorkerConfig) -> None:
        """Read tokenizer and graph.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
            EngineError: ``WEIGHTS_MISSING`` or ``ENGINE_START``.
        """
        checked = EncoderConfig.of(config)
        os.environ.update(_ENVIRONMENT)
        try:
            from mealkit.engines.onnx.encoder import Encoder  # noqa: PLC0415 - see the module's text
        except ImportError as error:
            raise failure("ENGINE_START", f"the engine cannot be imported: {error}") from error
        self._encoder = Encoder(checked)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts of any number; each gets the vector that it would get alone.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` or ``REQUEST_INVALID``, naming the text.
            EngineError: ``NOT_READY`` before ``load``; ``ENGINE_ANSWER``, the engine failed.
        """
        if self._encoder is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._encoder.encode(texts)
