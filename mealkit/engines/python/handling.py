"""Runs the author's handler: one request at a time unless the kit allows more, with a fixed seed.

The handler's code may be synchronous or asynchronous, and may return its answer in pieces. Its
exceptions become problems. Imports only the standard library, apart from the author's code.
"""

import inspect
import random
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

from mealkit.engines.python.config import HandlerConfig
from mealkit.engines.python.faults import request_failure, start_failure
from mealkit.engines.python.handler_loading import import_handler, load_arguments
from mealkit.engines.python.loop import LoopThread
from mealkit.errors import MealkitError
from mealkit.worker.interface import Cancelled, IsCancelled, never, require_waiting
from mealkit.worker.request_queue import RequestQueue

_NUMPY_SEEDS = 2**32


class Handling:
    """A handler that is loaded."""

    def __init__(self, config: HandlerConfig) -> None:
        """Import, create and load the handler.

        Raises:
            EngineError: ``ENGINE_START``, with the file and line.
        """
        self._config = config
        self._queue = RequestQueue(config.concurrency)
        self._loop = LoopThread()
        handler_class = import_handler(config)
        _begin_draws(config.seed)
        try:
            handler = handler_class()
            load = getattr(handler, "load", None)
            if load is not None:
                self._load(load)
        except MealkitError:
            raise
        except BaseException as error:
            doing = f"{config.class_name} loading its model"
            raise start_failure(error, config.code_root, doing) from error
        self.predict: Callable[..., Any] = handler.predict
        function = inspect.unwrap(self.predict)
        self._is_async = inspect.iscoroutinefunction(function)
        self._is_async_stream = inspect.isasyncgenfunction(function)

    def answer(self, arguments: Mapping[str, Any], seed: int, is_cancelled: IsCancelled) -> Any:
        """Return the result of ``predict``, with random numbers from ``seed``.

        Raises:
            Cancelled: the caller has disconnected.
            EngineError: ``HANDLER_FAILED``, the handler raised an exception.
        """
        with self._queue.entered(is_cancelled):
            try:
                if self._is_async:
                    return self._loop.run(lambda: self._begun(arguments, seed), is_cancelled)
                return self._begun(arguments, seed)
            except (MealkitError, Cancelled):
                raise
            except BaseException as error:
                raise request_failure(error, self._config.code_root) from error

    def wait_turn(self, is_cancelled: IsCancelled) -> None:
        """Wait until ``predict`` could be called.

        Raises:
            Cancelled: the caller has disconnected.
        """
        with self._queue.entered(is_cancelled):
            pass

    def pieces(
        self, arguments: Mapping[str, Any], seed: int, is_cancelled: IsCancelled
    ) -> Generator[Any, None, None]:
        """Yield the pieces of ``predict``; its iterator is closed when this one is.

        Raises:
            Cancelled: the caller has disconnected.
            EngineError: ``HANDLER_FAILED``, the handler raised an exception.
        """
        with self._queue.entered(is_cancelled):
            try:
                with closing(self._begun_pieces(arguments, seed, is_cancelled)) as pieces:
                    for piece in pieces:
                        yield piece
                        require_waiting(is_cancelled)
            except (MealkitError, Cancelled, GeneratorExit):
                raise
            except BaseException as error:
                raise request_failure(error, self._config.code_root) from error

    def _load(self, load: Callable[..., Any]) -> None:
        given = load_arguments(load, self._config)
        if inspect.iscoroutinefunction(inspect.unwrap(load)):
            self._loop.run(lambda: load(**given), never)
        else:
            left = load(**given)
            if inspect.isawaitable(left):  # of a load that decides while it runs
                self._loop.run(lambda: left, never)

    def _begun(self, arguments: Mapping[str, Any], seed: int) -> Any:
        _begin_draws(seed)
        return self.predict(**arguments)

    def _begun_pieces(
        self, arguments: Mapping[str, Any], seed: int, is_cancelled: IsCancelled
    ) -> Generator[Any, None, None]:
        if self._is_async_stream:
            yield from self._loop.pieces(lambda: self._begun(arguments, seed), is_cancelled)
            return
        if self._is_async:
            given = self._loop.run(lambda: self._begun(arguments, seed), is_cancelled)
        else:
            given = self._begun(arguments, seed)
        if hasattr(given, "__aiter__"):
            yield from self._loop.pieces(lambda: given, is_cancelled)
        else:
            # A generator is closed with this one; other iterators do not need to be closed.
            yield from given


def _begin_draws(seed: int) -> None:
    """Seed all random number generators, so that the same seed gives the same numbers."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % _NUMPY_SEEDS)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
