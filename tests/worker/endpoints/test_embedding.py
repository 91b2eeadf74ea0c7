"""OpenAI's shapes, read strictly and written exactly."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.embedding import (
    MAX_INPUTS,
    EmbeddingRequest,
    embedding_answer,
    read_embedding_request,
)
from mealkit.worker.interface import Embeddings


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        ("{", "REQUEST_INVALID", None),
        ("\udcff", "REQUEST_INVALID", None),
        ("[" * 100_000, "REQUEST_INVALID", None),
        ("[]", "REQUEST_INVALID", None),
        ("null", "REQUEST_INVALID", None),
        ({"input": "x"}, "REQUEST_INVALID", "model"),
        ({"model": "other", "input": "x"}, "REQUEST_MODEL", "model"),
        ({"model": ["m"], "input": "x"}, "REQUEST_MODEL", "model"),
        ({"model": "m"}, "REQUEST_INVALID", "input"),
        ({"model": "m", "input": None}, "REQUEST_INVALID", "input"),
        ({"model": "m", "input": {}}, "REQUEST_INVALID", "input"),
        ({"model": "m", "input": []}, "REQUEST_INVALID", "input"),
        ({"model": "m", "input": ""}, "REQUEST_INVALID", "input[0]"),
        ({"model": "m", "input": ["x", ""]}, "REQUEST_INVALID", "input[1]"),
        ({"model": "m", "input": [1, 2, 3]}, "REQUEST_INVALID", "input[0]"),
        ({"model": "m", "input": ["x", ["y"]]}, "REQUEST_INVALID", "input[1]"),
        ('{"model": "m", "input": "\\ud800"}', "REQUEST_INVALID", "input[0]"),
        ({"model": "m", "input": ["x"] * (MAX_INPUTS + 1)}, "REQUEST_TOO_LARGE", "input"),
        ({"model": "m", "input": "x", "dimensions": 8}, "REQUEST_UNSUPPORTED", "dimensions"),
        ({"model": "m", "input": "x", "user": "u"}, "REQUEST_UNSUPPORTED", "user"),
        (
            {"model": "m", "input": "x", "encoding_format": "int8"},
            "REQUEST_INVALID",
            "encoding_format",
        ),
        ({"model": "m", "input": "x", "encoding_format": []}, "REQUEST_INVALID", "encoding_format"),
        ('{"model": "m", "input": "x", "input": "y"}', "REQUEST_INVALID", "input"),
    ],
)
def test_a_request_that_cannot_be_honoured_is_refused(body, code, where):
    """Nothing is ignored, guessed or converted: the field is named instead."""
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(MealkitError) as caught:
        read_embedding_request(text.encode(errors="surrogateescape"), "m")
    problem = caught.value.problems[0]
    assert (problem.code, problem.where) == (code, where)


@pytest.mark.parametrize(("given_input", "texts"), [("x", ["x"]), (["x", " "], ["x", " "])])
def test_text_and_lists_of_text_are_read(given_input, texts):
    """One text is a list of one; a blank is a text."""
    body = json.dumps({"model": "m", "input": given_input}).encode()
    assert read_embedding_request(body, "m") == EmbeddingRequest(texts, "float")


@given(some.lists(some.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_float32_survives_both_spellings(numbers):
    """Float and base64 answers give back exactly the numbers that the worker gave."""
    packing = f"<{len(numbers)}f"
    packed = struct.pack(packing, *numbers)
    found = Embeddings([packed], len(numbers), [1])
    for encoding_format in ("float", "base64"):
        request = EmbeddingRequest(["x"], encoding_format)
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
    answer = embedding_answer(
        EmbeddingRequest(["x"], "float"), Embeddings([b"\0" * 4], 1, [1]), name
    )
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
        embedding_answer(EmbeddingRequest(["x", "y"], "float"), found, "m")
