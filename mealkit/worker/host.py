"""The process that hosts one worker: ``python -m mealkit.worker.host``, HTTP on a Unix socket.

It answers /health from the start, and the task's endpoint after the worker has loaded. All other
paths get an error. If the engine is itself a server, the process becomes that server. A failed
start prints one problem as JSON on stderr and exits with the code of its class; SIGTERM lets
running requests finish. Standard library only; it never listens on a network.
"""

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, NoReturn

from mealkit.errors import MealkitError, failure
from mealkit.worker.endpoints.classification import classification_endpoints
from mealkit.worker.endpoints.embedding import embedding_endpoints
from mealkit.worker.endpoints.generation import generation_endpoints
from mealkit.worker.endpoints.prediction import prediction_endpoints
from mealkit.worker.endpoints.request import WorkerEndpoint
from mealkit.worker.endpoints.reranking import reranking_endpoints
from mealkit.worker.endpoints.tokens import token_endpoints
from mealkit.worker.interface import (
    ClassificationWorker,
    EmbeddingWorker,
    GenerationWorker,
    PredictionWorker,
    RerankingWorker,
    ServerWorker,
    TokenizingWorker,
    Worker,
    WorkerConfig,
)
from mealkit.worker.server import MAX_BODY_BYTES, WorkerServer, listen


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    socket: Path
    worker: str
    config: Path
    max_body_bytes: int


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit code."""
    options = _options(arguments)
    # A signal handler may put to a SimpleQueue; setting an Event could deadlock on its lock.
    ends: SimpleQueue[MealkitError | None] = SimpleQueue()

    def stop(_number: int, _frame: FrameType | None) -> None:
        ends.put(None)

    try:
        config = _read_config(options.config)
        worker = import_worker(options.worker)
        if isinstance(worker, ServerWorker):
            become(worker.command(config, options.socket), worker.environment(config))
        # Not before: an engine's server in this process must get the signals itself.
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        # A pool of processes ends its children with SIGTERM, and waits until they have ended.
        os.register_at_fork(after_in_child=lambda: _set_handlers(before))
        server = listen(options.socket, options.max_body_bytes)
    except MealkitError as error:
        return _report(error)
    # The socket answers while the worker loads, and a worker that hangs in loading can be stopped.
    loader = threading.Thread(target=_load, args=(worker, config, server, ends), daemon=True)
    loader.start()
    failed = ends.get()
    server.drain()
    code = _report(failed) if failed else 0
    if loader.is_alive():
        # The engine's threads are still loading; unwinding them could crash.
        sys.stderr.flush()
        os._exit(code)
    return code


def _set_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def import_worker(path: str) -> Worker | ServerWorker:
    """Import ``package.module:Class`` and create an instance.

    Raises:
        EngineError: ``ENGINE_START``, the class does not exist, or its module cannot be imported.
    """
    module_name, _, class_name = path.partition(":")
    try:
        worker: Worker | ServerWorker = getattr(import_module(module_name), class_name)()
    except (ImportError, AttributeError, ValueError) as error:
        message = f"the worker {path!r} cannot be imported: {error}"
        raise failure("ENGINE_START", message) from error
    return worker


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a server: same id, same streams, additional environment.

    Raises:
        EngineError: ``ENGINE_START``, the program does not exist.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], list(command), os.environ | environment)  # noqa: S606 - no shell
    except OSError as error:
        message = f"{command[0]} cannot be run: {error.strerror}"
        raise failure("ENGINE_START", message) from error


def endpoints_of(worker: Worker, config: WorkerConfig) -> Mapping[str, WorkerEndpoint]:
    """Return a worker's endpoints for its task: ``METHOD /path`` → endpoint.

    Raises:
        EngineError: ``ENGINE_START``, the worker does not support the task.
    """
    found = _task_endpoints(worker, config)
    if not isinstance(worker, TokenizingWorker | GenerationWorker):
        return found
    # A worker for several tasks has chats only for generation.
    if config.task == "generation" and isinstance(worker, GenerationWorker):
        chat = worker.tokenize_chat
    else:
        chat = None
    most = config.hyperparameters.get("max_length")
    return {**found, **token_endpoints(worker, most, chat)}


def _task_endpoints(worker: Worker, config: WorkerConfig) -> Mapping[str, WorkerEndpoint]:
    name = config.model_name
    match config.task:
        case "embeddings" if isinstance(worker, EmbeddingWorker):
            return embedding_endpoints(worker, name)
        case "generation" if isinstance(worker, GenerationWorker):
            return generation_endpoints(worker, name)
        case "classification" if isinstance(worker, ClassificationWorker):
            return classification_endpoints(worker, name)
        case "reranking" if isinstance(worker, RerankingWorker):
            return reranking_endpoints(worker, name)
        case "prediction" if isinstance(worker, PredictionWorker):
            return prediction_endpoints(worker, name)
        case _:
            message = (
                f"the worker {type(worker).__name__} does not support the task {config.task!r}"
            )
            raise failure("ENGINE_START", message)


def _load(
    worker: Worker,
    config: WorkerConfig,
    server: WorkerServer,
    ends: "SimpleQueue[MealkitError | None]",
) -> None:
    try:
        endpoints = endpoints_of(worker, config)
        worker.load(config)
    except MealkitError as error:
        ends.put(error)
    except BaseException as error:  # noqa: BLE001 - whatever an engine raises, its start has failed
        traceback.print_exc()
        message = f"the engine did not start: {type(error).__name__}: {error}"
        ends.put(failure("ENGINE_START", message))
    else:
        server.endpoints = endpoints


def _read_config(path: Path) -> WorkerConfig:
    try:
        return WorkerConfig.from_json(path.read_bytes())
    except OSError as error:
        message = f"the worker's settings cannot be read: {error.strerror}"
        raise failure("CONFIG_INVALID", message, where=str(path)) from error


def _report(error: MealkitError) -> int:
    sys.stderr.write(json.dumps(error.problems[0].as_json()) + "\n")
    return error.exit_code


def _options(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m mealkit.worker.host", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the Unix socket to listen on")
    parser.add_argument("--worker", required=True, help="package.module:Class")
    parser.add_argument("--config", type=Path, required=True, help="the worker's settings, JSON")
    parser.add_argument(
        "--max-body-bytes", type=int, default=MAX_BODY_BYTES, help="the largest body of a request"
    )
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
