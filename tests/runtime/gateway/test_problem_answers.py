"""Problems as answers in OpenAI's shape."""

import json

import pytest

from mealkit.errors import problem
from mealkit.runtime.gateway.problem_answers import (
    JsonAnswer,
    new_request_id,
    problem_answer,
    refusal_bytes,
)

CONTACT = {"team": "authors"}


@pytest.mark.parametrize(
    ("code", "status", "retry"),
    [
        ("REQUEST_INVALID", 400, None),
        ("REQUEST_TOO_LARGE", 413, None),
        ("REQUEST_BUSY", 429, "1"),
        ("DRAINING", 503, "1"),
        ("ENGINE_DIED", 503, "5"),
        ("INTERNAL", 500, None),
    ],
)
def test_who_may_ask_again_is_told_when(code, status, retry):
    """The status says whose fault it is, and a header when asking again makes sense."""
    answer = problem_answer(problem(code, "so it is"), "id-1", CONTACT, {"X-More": "1"})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry)
    assert answer.headers["X-More"] == "1"
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["request_id"], error["contact"]) == (code, "id-1", CONTACT)


def test_a_contact_is_only_told_where_there_is_one():
    """No empty member stands for it."""
    assert "contact" not in json.loads(problem_answer(problem("INTERNAL", "x"), "1").body)["error"]


def test_text_that_no_one_can_encode_is_still_answered():
    """Half of a surrogate pair in a message becomes an escape."""
    answer = JsonAnswer({"text": "\ud800é"})
    assert answer.body == b'{"text": "\\ud800\xc3\xa9"}'
    assert JsonAnswer(b'{"is":"json"}').body == b'{"is":"json"}'


def test_a_refusal_is_a_whole_answer():
    """Its length is right, its id is new each time, and the connection ends with it."""
    first, second = (
        refusal_bytes(problem("REQUEST_INVALID", "é"), "r", "s", new_request_id()) for _ in range(2)
    )
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Connection: close" in head
    assert json.loads(body)["error"]["code"] == "REQUEST_INVALID"
    assert first != second
