"""Predictions of a hosted worker, whole or in pieces."""

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.prediction import prediction_endpoints, prediction_request
from mealkit.worker.endpoints.request import EndpointCall
from mealkit.worker.interface import IsCancelled, PredictionSchema, never


class Author:
    """A worker that gives what a test says."""

    def __init__(self, *pieces: Any, streams: bool = True) -> None:
        self.pieces, self.streams = pieces, streams
        self.ended, self.asked = False, None

    def schema(self) -> PredictionSchema:
        return PredictionSchema({"type": "object"}, {}, self.streams)

    def wait_turn(self, is_cancelled: IsCancelled) -> None:
        self.asked = is_cancelled

    def predict(self, values: Mapping[str, Any], seed: int, is_cancelled: IsCancelled) -> Any:
        self.asked = (values, seed)
        return self._given() if self.streams else self.pieces[0]

    def _given(self) -> Generator[Any, None, None]:
        try:
            yield from self.pieces
        finally:
            self.ended = True


def call(worker: Author, **fields: Any) -> Any:
    endpoint: Callable[[EndpointCall], Any] = prediction_endpoints(worker, 'a "b"')[
        "POST /v1/predict"
    ]
    body = {"input": {"x": 1}, "seed": 7, "stream": False, **fields}
    return endpoint(EndpointCall(json.dumps(body).encode(), never))


def test_an_answer_in_one_piece():
    """It names the model, and has the code's own output."""
    worker = Author({"y": ["é", None]}, streams=False)
    assert json.loads(call(worker)) == {
        "object": "prediction",
        "model": 'a "b"',
        "output": {"y": ["é", None]},
    }
    assert worker.asked == ({"x": 1}, 7)


def test_pieces_come_one_by_one_or_together():
    """A caller who does not stream gets a list, and the code's generator ends both times."""
    worker = Author(1, "two")
    assert json.loads(call(worker))["output"] == [1, "two"]
    assert worker.ended
    assert list(call(Author(1, "two"), stream=True)) == [
        b'data: {"output":1}\n\n',
        b'data: {"output":"two"}\n\n',
        b"data: [DONE]\n\n",
    ]


def test_a_stream_that_is_left_ends_the_code():
    """The author's generator is closed when the answer is."""
    worker = Author(*range(9))
    answer = call(worker, stream=True)
    next(answer)
    answer.close()
    assert worker.ended


def test_code_without_pieces_does_not_stream():
    """The parameter is named, and the code is not asked."""
    worker = Author(1, streams=False)
    with pytest.raises(MealkitError, match="REQUEST_UNSUPPORTED") as caught:
        call(worker, stream=True)
    assert caught.value.problems[0].where == "stream"
    assert worker.asked is None


@pytest.mark.parametrize("output", [float("nan"), float("-inf"), [1, {2}], b"bytes", {(1, 2): 3}])
def test_an_output_that_json_does_not_have(output):
    """It is the code's fault, whole and in pieces."""
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        call(Author(output, streams=False))
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        list(call(Author(output), stream=True))


@pytest.mark.parametrize(
    "fields",
    [
        *({"seed": -1}, {"seed": True}, {"seed": 1.0}, {"seed": None}, {"seed": 2**200}),
        *({"input": []}, {"input": None}, {"stream": 1}, {"stream": None}),
    ],
    ids=range(9),
)
def test_what_the_gateway_does_not_write_is_refused(fields):
    """Every field is there, with its type."""
    good = {"input": {}, "seed": 1, "stream": False}
    prediction_request(good)
    with pytest.raises((TypeError, ValueError)):
        prediction_request({**good, **fields})
    for name in good:
        with pytest.raises(LookupError):
            prediction_request({key: value for key, value in good.items() if key != name})


def test_the_schema_waits_for_its_turn():
    """Code that is stuck in a request does not look alive."""
    worker = Author(1)
    answer = prediction_endpoints(worker, "m")["GET /schema"](EndpointCall(b"", never))
    assert isinstance(answer, bytes)
    assert json.loads(answer) == {"input": {"type": "object"}, "output": {}, "streams": True}
    assert worker.asked is never
