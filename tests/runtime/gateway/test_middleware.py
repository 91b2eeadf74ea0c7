"""What every request goes through: its id, its log line, and answers where there is no endpoint."""

import pytest

OURS = {"mealkit_code", "owner", "hint", "where", "request_id"}
ERROR_FIELDS = {"message", "type", "code", "param"} | OURS


@pytest.fixture
def kit(start):
    return start().wait_ready()


def test_routes_that_are_not_there(kit):
    """What is not on the list is a problem too, and so is another method."""
    for path in ("/doc", "/v1/models/other", "/v1/chat/completions"):
        answer = kit.client.get(path)
        assert answer.status_code == 404
        assert set(answer.json()["error"]) == ERROR_FIELDS
    answer = kit.client.get("/v1/embeddings")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["error"]["code"] == "METHOD_UNKNOWN"


def test_other_spellings_of_paths(kit):
    """Slashes too many are no matter, also of a POST; a path without /v1 gets a hint."""
    base = str(kit.client.base_url).rstrip("/")
    for path in ("/v1/models/", "//v1//models", "/v1/models/stand-in/", "/healthz/"):
        assert kit.client.get(base + path).status_code == 200
    assert kit.client.get("/v1/models/").json()["object"] == "list"
    for path in ("/v1/embeddings/", "//v1/embeddings"):
        assert kit.post(base + path, input="hello").json()["data"]
    counted = 'mealkit_requests_total{route="/v1/embeddings",status="200"} 2.0'
    assert counted in kit.client.get("/metrics").text
    for path in ("/embeddings", "/embeddings/", "/v1/v1/embeddings", "/kits/a/v1/embeddings"):
        error = kit.post(path, input="hello").json()["error"]
        assert error["code"] == "ROUTE_UNKNOWN"
        assert "use the path /v1/embeddings;" in error["hint"]


def test_start_page(kit):
    """A browser gets the page, and a program the address of it."""
    answer = kit.client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.text == kit.client.get("/docs").text
    start = kit.client.get("/", headers={"Accept": "*/*"})
    assert kit.client.get(start.json()["docs"]).text == answer.text
    answer = kit.client.get("/docs/", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/docs")
    assert "/" not in kit.client.get("/v1/metadata").json()["endpoints"]


def test_request_ids(kit):
    """A sane id of the caller's is kept, in header, error and log; another is replaced."""
    answer = kit.client.post("/v1/embeddings", content=b"{", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert answer.json()["error"]["request_id"] == "abc-1"
    kit.wait_for(lambda: [e for e in kit.events("request") if e["request_id"] == "abc-1"])
    odd = kit.client.get("/healthz", headers={"X-Request-Id": "a b\tc"})
    assert len(odd.headers["X-Request-Id"]) == 32


def test_refusals_are_named_in_log_and_metrics(kit):
    """A refusal's log line has code and parameter; it is counted by code, and not timed."""
    assert kit.embed("hello").status_code == 200
    for more in ({"nope": 1}, {"a name with words": 1}, {"dimensions": "x"}):
        assert kit.embed("hello", **more).status_code == 400
    with kit.connected() as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        raw.recv(4096)
    done, *refused, unreadable = kit.wait_for(
        lambda: kit.events("request")[4:] and kit.events("request")
    )
    assert "code" not in done
    assert [(line["code"], line.get("param")) for line in refused] == [
        ("REQUEST_UNSUPPORTED", "nope"),
        ("REQUEST_UNSUPPORTED", None),
        ("REQUEST_INVALID", "dimensions"),
    ]
    assert (unreadable["code"], unreadable["status"]) == ("REQUEST_INVALID", 400)
    text = kit.client.get("/metrics").text
    assert 'mealkit_failures_total{code="REQUEST_UNSUPPORTED",owner="caller"} 2.0' in text
    assert 'mealkit_request_seconds_count{route="/v1/embeddings"} 1.0' in text
    duration = "gen_ai_server_request_duration_seconds_count"
    timed = [line for line in text.splitlines() if line.startswith(duration)]
    assert [line.split()[-1] for line in timed] == ["1.0"]


def test_bodies_are_not_logged(kit):
    """Nothing of a request's text is in the log."""
    kit.embed("a very private sentence")
    kit.client.post("/v1/embeddings", content=b'{"input": "another private sentence"')
    kit.wait_for(lambda: len(kit.events("request")) == 2)
    assert "private" not in "".join(kit.raw)
    assert not [line for line in kit.lines if "not json" in line]
