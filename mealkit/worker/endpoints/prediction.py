"""``POST /v1/predict`` and ``GET /schema`` of a hosted worker: a paper's own inputs and outputs.

Standard library only.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.recipe.sampling_parameters import SEED
from mealkit.worker.endpoints.request import EndpointCall, WorkerEndpoint, read_request, typed
from mealkit.worker.event_stream import DONE, event
from mealkit.worker.interface import PredictionWorker


@dataclass(frozen=True, slots=True)
class PredictionInput:
    """An input for the paper's code."""

    values: Mapping[str, Any]
    seed: int
    wants_pieces: bool


def prediction_endpoints(worker: PredictionWorker, model_name: str) -> Mapping[str, WorkerEndpoint]:
    """Return what a worker for the task ``prediction`` answers."""

    def predict(call: EndpointCall) -> bytes | Iterator[bytes]:
        asked = read_request(call.body, prediction_request)
        streams = worker.schema().streams
        if asked.wants_pieces and not streams:
            message = "this kit gives its answer whole, not piece by piece"
            raise failure("REQUEST_UNSUPPORTED", message, where="stream")
        found = worker.predict(asked.values, asked.seed, call.is_cancelled)
        if not streams:
            return _answer(found, model_name)
        if asked.wants_pieces:
            return _events(found)
        with closing(found):
            return _answer(list(found), model_name)

    def schema(call: EndpointCall) -> bytes:
        # Asked as a sign of life, too: code that is stuck in a request must not look alive.
        worker.wait_turn(call.is_cancelled)
        return _json(asdict(worker.schema())).encode()

    return {"POST /v1/predict": predict, "GET /schema": schema}


def prediction_request(values: Mapping[str, Any]) -> PredictionInput:
    """Return the request that a body's fields make; every field is there."""
    seed = values["seed"]
    if not SEED.accepts(seed):
        raise ValueError(SEED.name)
    return PredictionInput(typed(values["input"], dict), seed, typed(values["stream"], bool))


def _answer(output: Any, model_name: str) -> bytes:
    model, content = _json(model_name), _json(output)
    return f'{{"object":"prediction","model":{model},"output":{content}}}'.encode()


def _events(pieces: Generator[Any, None, None]) -> Iterator[bytes]:
    with closing(pieces):
        for piece in pieces:
            yield event(f'{{"output":{_json(piece)}}}')
    yield DONE


def _json(value: Any) -> str:
    """Write a value as JSON, which has no infinite numbers.

    Raises:
        EngineError: ``ENGINE_ANSWER``, it cannot be written.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as error:
        message = "the kit's code gave a number that is infinite or none, or no JSON at all"
        raise failure("ENGINE_ANSWER", message) from error
