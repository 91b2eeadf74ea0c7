"""The encoder: tokenizer, onnxruntime session and pooling, with memory and threads bounded.

Imports the engine, so only ``OnnxWorker.load`` may import this module. Refuses graphs whose inputs
and output are not those of a text encoder, and vectors that are not numbers.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mealkit.engines.onnx.config import EncoderConfig
from mealkit.engines.onnx.pooling import normalized, pooled
from mealkit.engines.onnx.tokens import SubBatch, TextTokenizer, sub_batches
from mealkit.engines.turns import Turns
from mealkit.engines.worker import Embeddings
from mealkit.errors import failure

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_OUTPUT = "last_hidden_state"


class Encoder:
    """Encodes texts; may be used from several threads at once."""

    def __init__(self, config: EncoderConfig) -> None:
        graph = config.model_root / config.graph
        tokenizer = config.model_root / "tokenizer.json"
        for path in (graph, tokenizer):
            if not path.is_file():
                raise failure("WEIGHTS_MISSING", f"{path.name} is missing", where=str(path))
        self._config = config
        self._tokenizer = TextTokenizer(tokenizer, config.max_length)
        self._session = _open_session(graph, config.threads)
        self._inputs = frozenset(item.name for item in self._session.get_inputs())
        outputs = {item.name for item in self._session.get_outputs()}
        if not self._inputs <= _INPUTS or _OUTPUT not in outputs:
            message = (
                f"the graph takes {', '.join(sorted(self._inputs))} and gives "
                f"{', '.join(sorted(outputs))}, expected {', '.join(sorted(_INPUTS))} and {_OUTPUT}"
            )
            raise failure("ENGINE_START", message, where=str(graph))
        # One run at a time makes ``threads`` the number of threads that compute, however many
        # requests there are, and bounds memory to one sub-batch.
        self._turns = Turns()

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Encode each text as if it were alone.

        Raises:
            RequestError: a text is too long, or has no tokens.
            EngineError: ``ENGINE_ANSWER``, the session failed or gave something other than numbers.
        """
        tokens = self._tokenizer.tokenize(texts)
        vectors = [b""] * len(texts)
        dimensions = 0
        for batch in sub_batches(tokens, self._tokenizer.pad_id):
            rows = self._vectors(batch)
            dimensions = rows.shape[1]
            for index, row in zip(batch.indices, rows, strict=True):
                vectors[index] = row.tobytes()
        return Embeddings(vectors, dimensions, [len(item.ids) for item in tokens])

    def _vectors(self, batch: SubBatch) -> NDArray[np.float32]:
        given = {
            "input_ids": batch.ids,
            "attention_mask": batch.mask,
            "token_type_ids": batch.type_ids,
        }
        feed = {name: given[name] for name in self._inputs}
        try:
            with self._turns:
                hidden: NDArray[np.float32] = self._session.run([_OUTPUT], feed)[0]
        except Exception as error:  # its errors share no narrower base
            raise failure("ENGINE_ANSWER", f"onnxruntime failed: {error}") from error
        vectors = pooled(hidden, batch.mask, self._config.pooling)
        if self._config.normalize:
            vectors = normalized(vectors)
        if not np.isfinite(vectors).all():
            raise failure("ENGINE_ANSWER", "a vector holds infinite values or none at all")
        return vectors.astype("<f4", copy=False)


def _open_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Spinning threads would burn a container's CPU quota between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no narrower base
        message = f"onnxruntime cannot load the graph: {error}"
        raise failure("ENGINE_START", message, where=str(graph)) from error
