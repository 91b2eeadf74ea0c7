"""OpenAI's shapes, read strictly and written exactly."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.embedding import (
    EmbeddingInput,
    embedding_answer,
    embedding_request,
)
from mealkit.worker.endpoints.request import read_request
from mealkit.worker.interface import Embeddings


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "\udcff",
        "[" * 100_000,
        "[]",
        "null",
        {"model": "m"},
        {"input": None},
        {"input": {}},
        {"input": []},
        {"input": [1, 2, 3]},
        {"input": ["x", ["y"]]},
        '{"input": "\\ud800"}',
        {"input": "x", "encoding_format": "int8"},
        {"input": "x", "encoding_format": []},
        '{"input": "x", "input": "y"}',
    ],
)
def test_what_the_gateway_cannot_have_written_is_refused(body):
    """Bytes that are not JSON, and values of other types, end the request."""
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(MealkitError, match="REQUEST_INVALID"):
        read_request(text.encode(errors="surrogateescape"), embedding_request)


@pytest.mark.parametrize(("given_input", "texts"), [("x", ["x"]), (["x", " "], ["x", " "])])
def test_text_and_lists_of_text_are_read(given_input, texts):
    """One text is a list of one; a space is a text."""
    body = json.dumps({"model": "m", "input": given_input}).encode()
    assert read_request(body, embedding_request) == EmbeddingInput(texts, "float")


@given(some.lists(some.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_float32_survives_both_spellings(numbers):
    """Float and base64 answers give back exactly the numbers that the worker gave."""
    packing = f"<{len(numbers)}f"
    packed = struct.pack(packing, *numbers)
    found = Embeddings([packed], len(numbers), [1])
    for encoding_format in ("float", "base64"):
        request = EmbeddingInput(["x"], encoding_format)
        vector = json.loads(embedding_answer(request, found, "m"))["data"][0]["embedding"]
        if encoding_format == "base64":
            assert base64.b64decode(vector) == packed
        else:
            # The nearest float32; as a value, because JSON readers drop the sign of -0.
            again = struct.unpack(packing, struct.pack(packing, *vector))
            assert list(again) == numbers


def test_a_name_with_quotes_stays_a_name():
    """The model's name is written as JSON, whatever is in it."""
    name = 'a"b\\c\n'
    answer = embedding_answer(EmbeddingInput(["x"], "float"), Embeddings([b"\0" * 4], 1, [1]), name)
    assert json.loads(answer)["model"] == name


@pytest.mark.parametrize(
    "found",
    [
        Embeddings([b"\0" * 4], 1, [1]),
        Embeddings([b"\0" * 4] * 2, 1, [1]),
        Embeddings([b"\0" * 4] * 2, 2, [1, 1]),
        Embeddings([b"\0" * 4, b"\0" * 8], 1, [1, 1]),
    ],
)
def test_vectors_that_do_not_fit_the_request_are_refused(found):
    """A missing vector, a missing count or a wrong length is the engine's failure."""
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        embedding_answer(EmbeddingInput(["x", "y"], "float"), found, "m")
