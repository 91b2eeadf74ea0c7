"""Errors in OpenAI's shape."""

import json

from mealkit.errors import failure
from mealkit.worker.openai_errors import error_answer, error_event, error_for_callers


def test_errors_carry_owner_and_place():
    """An error has OpenAI's fields, and ours beside them."""
    error = failure("REQUEST_TOO_LONG", "input 3 has 301 tokens", where="input[3]")
    status, body = error_answer(error)
    assert status == 400
    assert json.loads(body)["error"] == {
        "message": "input 3 has 301 tokens",
        "type": "invalid_request_error",
        "code": "REQUEST_TOO_LONG",
        "param": "input[3]",
        "owner": "caller",
        "hint": "shorten the input, or split it",
        "where": "input[3]",
    }


def test_callers_get_the_code_that_clients_know():
    """OpenAI's, if it has one, beside mealkit's own."""
    for code, known in (
        ("REQUEST_TOO_LONG", "context_length_exceeded"),
        ("REQUEST_INVALID", "REQUEST_INVALID"),
    ):
        form = error_for_callers(failure(code, "m").problems[0])
        assert (form["code"], form["mealkit_code"]) == (known, code)


def test_a_servers_error_names_no_parameter():
    """Errors of the server are not about a parameter of the caller."""
    status, body = error_answer(failure("ENGINE_ANSWER", "no numbers", where="/models/x"))
    error = json.loads(body)["error"]
    assert (status, error["type"], error["param"]) == (502, "server_error", None)


def test_an_error_within_a_stream_is_one_event():
    """The event carries what the answer's body would, on one line."""
    error = failure("ENGINE_ANSWER", "two\nlines")
    assert error_event(error) == b"data: " + error_answer(error)[1] + b"\n\n"
    assert error_event(error).count(b"\n") == 2
