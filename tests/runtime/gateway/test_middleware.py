"""What every request goes through: its id, its log line, and answers where there is no endpoint."""

import pytest

OURS = {"mealkit_code", "owner", "hint", "where", "request_id"}
ERROR_FIELDS = {"message", "type", "code", "param"} | OURS


@pytest.fixture
def kit(start):
    return start().wait_ready()


def test_routes_that_are_not_there(kit):
    """What is not on the list is a problem too, and so is another method."""
    for path in ("/", "/doc", "/v1/embeddings/", "/v1/models/other", "/v1/chat/completions"):
        answer = kit.client.get(path)
        assert answer.status_code == 404
        assert set(answer.json()["error"]) == ERROR_FIELDS
    answer = kit.client.get("/v1/embeddings")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["error"]["code"] == "METHOD_UNKNOWN"


def test_request_ids(kit):
    """A sane id of the caller's is kept, in header, error and log; another is replaced."""
    answer = kit.client.post("/v1/embeddings", content=b"{", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert answer.json()["error"]["request_id"] == "abc-1"
    kit.wait_for(lambda: [e for e in kit.events("request") if e["request_id"] == "abc-1"])
    odd = kit.client.get("/healthz", headers={"X-Request-Id": "a b\tc"})
    assert len(odd.headers["X-Request-Id"]) == 32


def test_bodies_are_not_logged(kit):
    """Nothing of a request's text is in the log."""
    kit.embed("a very private sentence")
    kit.client.post("/v1/embeddings", content=b'{"input": "another private sentence"')
    kit.wait_for(lambda: len(kit.events("request")) == 2)
    assert "private" not in "".join(kit.raw)
    assert not [line for line in kit.lines if "not json" in line]
