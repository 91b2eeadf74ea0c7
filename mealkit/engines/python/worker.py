"""The python engine's worker: runs the paper's own code from the kit, with typed inputs.

Raises errors for inputs and results that do not match the code's signature. Imports the code, and
pydantic, in ``load``.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from mealkit.engines.python.config import HandlerConfig
from mealkit.engines.python.request_files import RequestFiles
from mealkit.errors import failure
from mealkit.worker.interface import IsCancelled, PredictionSchema, WorkerConfig

if TYPE_CHECKING:
    from mealkit.engines.python.handling import Handling
    from mealkit.engines.python.signature import Signature


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class PythonWorker:
    """A ``PredictionWorker``: a class in one of the kit's own files."""

    def __init__(self) -> None:
        self._config: HandlerConfig | None = None
        self._handling: Handling | None = None
        self._signature: Signature | None = None

    def prepare(self) -> None:
        """Import what the author's code does not change, while the gateway starts."""
        import mealkit.engines.python.signature  # noqa: F401, PLC0415

    def load(self, config: WorkerConfig) -> None:
        """Import and load the handler, and read its signature.

        Raises:
            ContainerError: ``CONFIG_INVALID``, naming the field.
            EngineError: ``ENGINE_START``, with the file and line.
        """
        checked = HandlerConfig.of(config)
        # Libraries read these when they are imported, which only the author's code does.
        os.environ.update(dict.fromkeys(_THREADS, str(checked.threads)))
        try:
            from mealkit.engines.python.handling import Handling  # noqa: PLC0415
            from mealkit.engines.python.signature import Signature  # noqa: PLC0415
        except ImportError as error:
            raise failure("ENGINE_START", f"the engine cannot be imported: {error}") from error
        self._config = checked
        self._handling = Handling(checked)
        self._signature = Signature(self._handling.predict, checked)

    def schema(self) -> PredictionSchema:
        """Return the inputs and the result of ``predict``.

        Raises:
            EngineError: ``NOT_READY`` before ``load``.
        """
        return self._loaded()[2].schema

    def wait_turn(self, is_cancelled: IsCancelled) -> None:
        """Wait until the code could be called.

        Raises:
            Cancelled: the caller has disconnected.
            EngineError: ``NOT_READY`` before ``load``.
        """
        self._loaded()[1].wait_turn(is_cancelled)

    def predict(self, values: Mapping[str, Any], seed: int, is_cancelled: IsCancelled) -> Any:
        """Answer one input with a JSON value or, for a stream, with an iterator of values.

        Raises:
            RequestError: the input does not match the signature; names the field.
            Cancelled: the caller has disconnected.
            EngineError: ``HANDLER_FAILED`` with the line; ``ENGINE_ANSWER``, the result does not
                match the signature; ``NOT_READY`` before ``load``.
        """
        config, handling, signature = self._loaded()
        files = RequestFiles(config.limits)
        if signature.streams:
            return self._pieces(values, seed, files, is_cancelled)
        try:
            arguments = signature.read(values, files)
            return signature.write(handling.answer(arguments, seed, is_cancelled), files)
        finally:
            files.close()

    def _pieces(
        self,
        values: Mapping[str, Any],
        seed: int,
        files: RequestFiles,
        is_cancelled: IsCancelled,
    ) -> Generator[Any, None, None]:
        _, handling, signature = self._loaded()
        try:
            arguments = signature.read(values, files)
            with closing(handling.pieces(arguments, seed, is_cancelled)) as pieces:
                for piece in pieces:
                    yield signature.write(piece, files)
                    files.end_piece()
        finally:
            files.close()

    def _loaded(self) -> "tuple[HandlerConfig, Handling, Signature]":
        if self._config is None or self._handling is None or self._signature is None:
            raise failure("NOT_READY", "the worker has not loaded")
        return self._config, self._handling, self._signature
