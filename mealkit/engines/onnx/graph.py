"""Runs an ONNX graph of a text model in onnxruntime on the CPU, with limits for memory and threads.

Imports the engine, so only modules that are imported in ``load`` may import this module. Raises
EngineError for graphs whose inputs and output do not fit the task, and for invalid numbers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mealkit.engines.onnx.config import GraphConfig
from mealkit.engines.onnx.together import Together
from mealkit.errors import MealkitError, failure
from mealkit.worker.interface import IsCancelled
from mealkit.worker.tokenizer.encode import Tokens

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})

Read = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Converts the output of a run to one row for each input."""


class Graph:
    """Computes one row of float32 numbers for each input; several threads may use it."""

    def __init__(self, config: GraphConfig, output: str, read: Read, max_length: int) -> None:
        path = config.root / config.graph
        if not path.is_file():
            raise failure("WEIGHTS_MISSING", f"{path.name} is missing", where=str(path))
        self._session = _open_session(path, config.threads)
        self._output, self._read = output, read
        self._inputs = frozenset(item.name for item in self._session.get_inputs())
        outputs = {item.name for item in self._session.get_outputs()}
        if not self._inputs <= _INPUTS or output not in outputs:
            message = (
                f"the graph has the inputs {', '.join(sorted(self._inputs))} and the outputs "
                f"{', '.join(sorted(outputs))}, expected {', '.join(sorted(_INPUTS))} and {output}"
            )
            raise failure("ENGINE_START", message, where=str(path))
        self.width = self._tried(max_length, path)
        # With one run at a time, ``threads`` is the number of computing threads for any number of
        # requests, and memory is limited to that of one run.
        self._together = Together(self._run)

    def rows(
        self, tokens: Sequence[Tokens], is_cancelled: IsCancelled
    ) -> list[NDArray[np.float32]]:
        """Compute each input as if it were alone.

        Raises:
            Cancelled: the caller has disconnected.
            EngineError: ``ENGINE_ANSWER``, the session failed or returned invalid numbers.
        """
        rows = self._together.rows(tokens, is_cancelled)
        if not all(np.isfinite(row).all() for row in rows):
            raise failure("ENGINE_ANSWER", "the answer contains infinite or missing values")
        return rows

    def _run(self, ids: NDArray[np.int64], type_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        given = {"input_ids": ids, "token_type_ids": type_ids, "attention_mask": np.ones_like(ids)}
        feed = {name: given[name] for name in self._inputs}
        try:
            found: NDArray[np.float32] = self._session.run([self._output], feed)[0]
        except Exception as error:  # its errors have no narrower base class
            raise failure("ENGINE_ANSWER", f"onnxruntime failed: {error}") from error
        return self._read(found)

    def _tried(self, max_length: int, path: Path) -> int:
        """Run an input of the maximum length, so that errors occur before the first request."""
        longest = np.zeros((1, max_length), dtype=np.int64)
        try:
            rows = self._run(longest, longest)
        except MealkitError as error:
            message = f"{max_length} tokens cannot be run: {error.problems[0].message}"
            raise failure("ENGINE_START", message, where=str(path)) from error
        width: int = rows.shape[1]
        return width


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Spinning threads would use up a container's CPU quota between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no narrower base class
        message = f"onnxruntime cannot load the graph: {error}"
        raise failure("ENGINE_START", message, where=str(path)) from error
