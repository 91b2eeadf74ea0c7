"""The author's handler runs: one request at a time unless the kit says more, from a known seed.

Its code may be synchronous or not, and may give its answer in pieces. Whatever it raises becomes a
problem. Standard library only, besides what the author's code brings.
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
    """A handler that has loaded."""

    def __init__(self, config: HandlerConfig) -> None:
        """Import, make and load the handler.

        Raises:
            EngineError: ``ENGINE_START``, naming file and line.
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
        """Return what ``predict`` gives, its draws from ``seed`` on.

        Raises:
            Cancelled: the caller went away.
            EngineError: ``HANDLER_FAILED``, it raised.
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
        """Return once ``predict`` could be called.

        Raises:
            Cancelled: the caller went away.
        """
        with self._queue.entered(is_cancelled):
            pass

    def pieces(
        self, arguments: Mapping[str, Any], seed: int, is_cancelled: IsCancelled
    ) -> Generator[Any, None, None]:
        """Yield what ``predict`` gives, piece by piece; closed when this iterator is.

        Raises:
            Cancelled: the caller went away.
            EngineError: ``HANDLER_FAILED``, it raised.
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
            load(**given)

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
            # A generator is closed with this one; any other iterator needs no end.
            yield from given


def _begin_draws(seed: int) -> None:
    """Let every draw begin where it began the last time for this seed."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % _NUMPY_SEEDS)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
