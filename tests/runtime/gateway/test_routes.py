"""What callers meet: OpenAI's shapes, clear refusals, headers, metrics."""

import base64
import json
import socket
import struct

import pytest

MODEL_NAME = "stand-in"
OPENAI_FIELDS = {"message", "type", "code", "param"}
ERROR_FIELDS = OPENAI_FIELDS | {"mealkit_code", "owner", "hint", "where", "request_id"}


@pytest.fixture(scope="module")
def kit(start_shared):
    """A kit for all tests that count nothing."""
    return start_shared().wait_ready()


def test_embeddings_shape(kit):
    """One text, or several, give OpenAI's list with usage; base64 holds the same numbers."""
    one = kit.embed("hello world").json()
    assert one["object"] == "list"
    assert one["model"] == MODEL_NAME
    assert one["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert one["data"] == [{"object": "embedding", "index": 0, "embedding": [11, 0.5, 0.25, -1]}]
    two = kit.embed(["a", "b c"], encoding_format="base64").json()
    assert [item["index"] for item in two["data"]] == [0, 1]
    vector = struct.unpack("<4f", base64.b64decode(two["data"][1]["embedding"]))
    assert vector == (3.0, 0.5, 0.25, -1.0)


def test_aliases(start, make_api_lock):
    """A request may use an alias; the answer, and what the engine gets, has the model's own name."""
    names = ("gpt-4o-mini", "org/plain")
    kit = start(make_api_lock(serving={"model_aliases": names})).wait_ready()
    listed = kit.client.get("/v1/models").json()["data"]
    assert [card["id"] for card in listed] == [MODEL_NAME, *names]
    assert kit.client.get("/v1/models/org/plain").json()["id"] == "org/plain"
    for text in ("hello", "a b " * 10_000):
        answer = kit.client.post("/v1/completions", json={"model": "gpt-4o-mini", "prompt": text})
        assert (answer.status_code, answer.json()["model"]) == (200, MODEL_NAME)
    assert (
        kit.client.post("/v1/completions", json={"model": "gpt-4o", "prompt": "a"}).status_code
        == 404
    )
    described = kit.client.get("/openapi.json").json()["components"]["schemas"]
    allowed = described["CompletionRequest"]["properties"]["model"]["enum"]
    assert allowed == [MODEL_NAME, *names]


def test_parameters_that_change_nothing(kit):
    """The model's own dimensions, a user, and null parameters are accepted."""
    answer = kit.embed("hello", dimensions=4, user="u-1", encoding_format=None)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "REQUEST_INVALID", None),
        (b"[]", 400, "REQUEST_INVALID", None),
        (b"[" * 100_000, 400, "REQUEST_INVALID", None),
        (b'{"model": "stand-in", "model": "stand-in", "input": "a"}', 400, "REQUEST_INVALID", "model"),
        ({"input": "a"}, 400, "REQUEST_INVALID", "model"),
        ({"model": MODEL_NAME}, 400, "REQUEST_INVALID", "input"),
        ({"model": MODEL_NAME, "input": ""}, 400, "REQUEST_INVALID", "input[0]"),
        ({"model": MODEL_NAME, "input": []}, 400, "REQUEST_INVALID", "input"),
        ({"model": MODEL_NAME, "input": "\ud800"}, 400, "REQUEST_INVALID", "input[0]"),
        ({"model": MODEL_NAME, "input": [1, 2]}, 400, "REQUEST_UNSUPPORTED", "input"),
        ({"model": MODEL_NAME, "input": [[1, 2]]}, 400, "REQUEST_UNSUPPORTED", "input"),
        ({"model": MODEL_NAME, "input": ["a"] * 2049}, 413, "REQUEST_TOO_LARGE", "input"),
        ({"model": "other", "input": "a"}, 404, "REQUEST_MODEL", "model"),
        ({"model": MODEL_NAME, "input": "a", "dimensions": 3}, 400, "REQUEST_UNSUPPORTED", "dimensions"),
        ({"model": MODEL_NAME, "input": "a", "dimensions": "4"}, 400, "REQUEST_INVALID", "dimensions"),
        ({"model": MODEL_NAME, "input": "a", "user": 7}, 400, "REQUEST_INVALID", "user"),
        ({"model": MODEL_NAME, "input": "a", "truncate": True}, 400, "REQUEST_UNSUPPORTED", "truncate"),
        ({"model": MODEL_NAME, "input": "a", "encoding_format": "int8"}, 400, "REQUEST_INVALID", "encoding_format"),
    ],
)  # fmt: skip
def test_refusals(kit, body, status, code, param):
    """What cannot be done exactly is refused in OpenAI's shape, naming the parameter."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = kit.client.post("/v1/embeddings", content=data)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == ERROR_FIELDS
    assert error["type"] == "invalid_request_error"
    assert error["owner"] == "caller"
    assert error["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["X-Mealkit-Recipe"].startswith("sha256:")


def test_overlong_input_keeps_its_numbers(kit):
    """The worker's refusal of an overlong input reaches the caller as it is."""
    answer = kit.embed("long:300")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["message"] == "the input has 300 tokens, the limit is 16"
    assert error["param"] == "input[0]"


def test_more_requests_than_allowed(start, make_lock, tmp_path, background):
    """Over the kit's concurrency the answer is 429, at once, with Retry-After."""
    gate = tmp_path / "gate"
    kit = start(make_lock(serving={"max_concurrency": 2, "max_queue": 0})).wait_ready()
    running = [background(kit.embed, f"wait:{gate}") for _ in range(2)]
    kit.wait_for(lambda: "mealkit_requests_running 2.0" in kit.client.get("/metrics").text)
    refused = kit.embed("hello")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("REQUEST_BUSY", "rate_limit_error")
    assert "limit is 2" in error["message"]
    gate.touch()
    assert [answer.result().status_code for answer in running] == [200, 200]
    assert kit.embed("hello").status_code == 200


def test_answer_that_takes_too_long(start, make_lock, tmp_path):
    """An answer over the kit's time limit is aborted with 504, and its slot is free again."""
    kit = start(make_lock(serving={"timeout_seconds": 1, "max_concurrency": 1})).wait_ready()
    answer = kit.embed(f"wait:{tmp_path / 'never'}")
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "REQUEST_TIMEOUT"
    assert kit.embed("hello").status_code == 200


def test_caller_that_goes_away(start, make_lock, tmp_path):
    """A caller that hangs up frees its slot; the log says so."""
    kit = start(make_lock(serving={"max_concurrency": 1})).wait_ready()
    body = json.dumps({"model": MODEL_NAME, "input": f"wait:{tmp_path / 'never'}"})
    address = (kit.client.base_url.host, kit.client.base_url.port)
    with socket.create_connection(address) as peer:
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.sendall((head + body).encode())
        kit.wait_for(lambda: "mealkit_requests_running 1.0" in kit.client.get("/metrics").text)
    kit.wait_for(lambda: "mealkit_requests_running 0.0" in kit.client.get("/metrics").text)
    assert kit.wait_for(lambda: [e for e in kit.events("request") if e["status"] == 499])
    assert kit.embed("hello").status_code == 200


def test_metrics(start):
    """State, start, requests, seconds, tokens and failures are counted."""
    kit = start().wait_ready()
    kit.embed("three small words")
    kit.embed("long:99")
    kit.client.get("/nowhere")
    text = kit.client.get("/metrics").text
    for line in (
        'mealkit_state{state="ready"} 1.0',
        'mealkit_state{state="loading"} 0.0',
        'mealkit_requests_total{route="/v1/embeddings",status="200"} 1.0',
        'mealkit_requests_total{route="/v1/embeddings",status="400"} 1.0',
        'mealkit_requests_total{route="other",status="404"} 1.0',
        'mealkit_request_seconds_count{route="/v1/embeddings"} 2.0',
        "mealkit_tokens_total 3.0",
        'mealkit_failures_total{code="REQUEST_TOO_LONG",owner="caller"} 1.0',
        "mealkit_worker_restarts_total 0.0",
        "mealkit_requests_running 0.0",
    ):
        assert line in text.splitlines()
    for phase in ("preflight", "verifying", "loading", "warming"):
        assert f'mealkit_startup_seconds{{phase="{phase}"}}' in text


def test_metadata_and_models(start, make_lock):
    """The kit says what it is, whose, exactly which, and how much it takes."""
    digest = "sha256:" + "0" * 64
    lock = make_lock()
    kit = start(lock, environment={"MEALKIT_IMAGE_DIGEST": digest}).wait_ready()
    body = kit.client.get("/v1/metadata").json()
    assert body["kit"]["name"] == "kit"
    assert body["owner"]["contact"] == "mailto:authors@example.invalid"
    assert body["recipe"] == str(lock.recipe) == kit.ready().headers["X-Mealkit-Recipe"]
    assert body["salt"] == str(lock.salt) == kit.ready().headers["X-Mealkit-Salt"]
    assert body["image"] == digest
    assert body["model"]["files"][0]["sha256"] == lock.model.files[0].sha256.hex
    assert body["limits"]["max_inputs"] == 2048
    assert body["limits"]["max_tokens"] == 16
    assert body["limits"]["dimensions"] == 4
    assert "/v1/embeddings" in body["endpoints"]
    models = kit.client.get("/v1/models").json()
    card = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "authors"}
    assert models == {"object": "list", "data": [card]}
    assert kit.client.get(f"/v1/models/{MODEL_NAME}").json() == card
