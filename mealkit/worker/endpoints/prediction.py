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
    """Return the endpoints of a worker for the task ``prediction``."""

    def predict(call: EndpointCall) -> bytes | Iterator[bytes]:
        asked = read_request(call.body, prediction_request)
        streams = worker.schema().streams
        if asked.wants_pieces and not streams:
            message = "this kit returns its answer in one piece, not as a stream"
            raise failure("REQUEST_UNSUPPORTED", message, where="stream")
        found = worker.predict(asked.values, asked.seed, call.is_cancelled)
        if not streams:
            return _answer(found, model_name)
        if asked.wants_pieces:
            return _events(found)
        with closing(found):
            return _answer(list(found), model_name)

    def schema(call: EndpointCall) -> bytes:
        # The canary also requests it: code that hangs in a request must not look healthy.
        worker.wait_turn(call.is_cancelled)
        return _json(asdict(worker.schema())).encode()

    return {"POST /v1/predict": predict, "GET /schema": schema}


def prediction_request(values: Mapping[str, Any]) -> PredictionInput:
    """Build the request from a body's fields, all of which are required."""
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
    """Return a value as JSON, which has no infinite numbers.

    Raises:
        EngineError: ``ENGINE_ANSWER``, the value cannot be written as JSON.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as error:
        message = "the kit's code returned an infinite number or NaN, or a value that is not JSON"
        raise failure("ENGINE_ANSWER", message) from error
