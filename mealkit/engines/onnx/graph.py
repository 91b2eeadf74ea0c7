"""An ONNX graph of a text model in onnxruntime on the CPU, with memory and threads bounded.

Imports the engine, so only what is imported in ``load`` may import this module. Refuses graphs
whose inputs and output are not those of the task, and answers that are not numbers.
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
"""From the output of a run to one row for each input."""


class Graph:
    """Computes one row of float32 numbers for each input; may be used from several threads."""

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
                f"the graph takes {', '.join(sorted(self._inputs))} and gives "
                f"{', '.join(sorted(outputs))}, expected {', '.join(sorted(_INPUTS))} and {output}"
            )
            raise failure("ENGINE_START", message, where=str(path))
        self.width = self._tried(max_length, path)
        # One run at a time makes ``threads`` the number of threads that compute, however many
        # requests there are, and bounds memory to one run.
        self._together = Together(self._run)

    def rows(
        self, tokens: Sequence[Tokens], is_cancelled: IsCancelled
    ) -> list[NDArray[np.float32]]:
        """Compute each input as if it were alone.

        Raises:
            Cancelled: nobody waits for them any more.
            EngineError: ``ENGINE_ANSWER``, the session failed or gave something other than numbers.
        """
        rows = self._together.rows(tokens, is_cancelled)
        if not all(np.isfinite(row).all() for row in rows):
            raise failure("ENGINE_ANSWER", "the answer holds infinite values or none at all")
        return rows

    def _run(self, ids: NDArray[np.int64], type_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        given = {"input_ids": ids, "token_type_ids": type_ids, "attention_mask": np.ones_like(ids)}
        feed = {name: given[name] for name in self._inputs}
        try:
            found: NDArray[np.float32] = self._session.run([self._output], feed)[0]
        except Exception as error:  # its errors share no narrower base
            raise failure("ENGINE_ANSWER", f"onnxruntime failed: {error}") from error
        return self._read(found)

    def _tried(self, max_length: int, path: Path) -> int:
        """Run the longest input there may be: what fails there fails before anyone asks."""
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
    # Spinning threads would burn a container's CPU quota between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no narrower base
        message = f"onnxruntime cannot load the graph: {error}"
        raise failure("ENGINE_START", message, where=str(path)) from error
