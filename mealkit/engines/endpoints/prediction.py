"""``POST /v1/predict`` and ``GET /schema`` of a hosted worker: a paper's own inputs and outputs.

Refuses fields that are unknown, an input that is no object, and pieces where there are none.
Standard library only.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

from mealkit.engines.endpoints.call import DONE, Call, Endpoint, event
from mealkit.engines.endpoints.request import invalid, read_request
from mealkit.engines.worker import PredictionWorker
from mealkit.errors import failure

_FIELDS = ("input", "stream")


def prediction_endpoints(worker: PredictionWorker, model_name: str) -> Mapping[str, Endpoint]:
    """Return what a worker for the task ``prediction`` answers."""

    def predict(call: Call) -> bytes | Iterator[bytes]:
        values, wants_pieces = read_prediction_request(call.body, model_name)
        streams = worker.schema().streams
        if wants_pieces and not streams:
            message = "this kit gives its answer whole, not piece by piece"
            raise failure("REQUEST_UNSUPPORTED", message, where="stream")
        found = worker.predict(values, call.is_cancelled)
        if not streams:
            return _answer(found, model_name)
        if wants_pieces:
            return _events(found)
        with closing(found):
            return _answer(list(found), model_name)

    def schema(call: Call) -> bytes:
        # Asked as a sign of life, too: code that is stuck in a request must not look alive.
        worker.wait_turn(call.is_cancelled)
        return _json(asdict(worker.schema())).encode()

    return {"POST /v1/predict": predict, "GET /schema": schema}


def read_prediction_request(body: bytes, model_name: str) -> tuple[dict[str, Any], bool]:
    """Read the body of ``POST /v1/predict``: its input, and whether pieces are wanted.

    Raises:
        RequestError: the body is not such a request, naming the field.
    """
    values = read_request(body, _FIELDS, model_name)
    if "input" not in values:
        raise invalid("input is missing", "input")
    if not isinstance(values["input"], dict):
        found = type(values["input"]).__name__
        raise invalid(f"input is {found}, expected an object", "input")
    stream = values.get("stream", False)
    if not isinstance(stream, bool):
        raise invalid(f"stream is {type(stream).__name__}, expected true or false", "stream")
    return values["input"], stream


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
