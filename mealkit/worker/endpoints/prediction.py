"""``POST /v1/predict`` and ``GET /schema`` of a hosted worker: a paper's own inputs and outputs.

Refuses fields that are unknown, an input that is no object, and pieces where there are none.
Standard library only.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from mealkit.errors import failure
from mealkit.worker.endpoints.call import DONE, Call, Endpoint, event
from mealkit.worker.endpoints.request import invalid, read_request
from mealkit.worker.endpoints.typed_fields import read_flag, read_integer, require
from mealkit.worker.interface import LARGEST_SEED, PredictionWorker

_FIELDS = ("input", "seed", "stream")


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """An input for the paper's code."""

    values: Mapping[str, Any]
    seed: int
    wants_pieces: bool


def prediction_endpoints(worker: PredictionWorker, model_name: str) -> Mapping[str, Endpoint]:
    """Return what a worker for the task ``prediction`` answers."""

    def predict(call: Call) -> bytes | Iterator[bytes]:
        asked = read_prediction_request(call.body, model_name)
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

    def schema(call: Call) -> bytes:
        # Asked as a sign of life, too: code that is stuck in a request must not look alive.
        worker.wait_turn(call.is_cancelled)
        return _json(asdict(worker.schema())).encode()

    return {"POST /v1/predict": predict, "GET /schema": schema}


def read_prediction_request(body: bytes, model_name: str) -> PredictionRequest:
    """Read the body of ``POST /v1/predict``; every field is there.

    Raises:
        RequestError: the body is not such a request, naming the field.
    """
    values = read_request(body, _FIELDS, model_name)
    given = require(values, "input")
    if not isinstance(given, dict):
        raise invalid(f"input is {type(given).__name__}, expected an object", "input")
    seed = read_integer(values, "seed", 0, LARGEST_SEED)
    return PredictionRequest(given, seed, read_flag(values, "stream"))


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
