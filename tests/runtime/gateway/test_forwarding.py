"""Answers through the gateway, whole and streamed: every value passed, every end told."""

import json
import socket
import threading
from pathlib import Path

import httpx2
import pytest

from mealkit.digest import Digest
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock_records import LockedCode

MODEL_NAME = "stand-in"
ALL = frozenset(Feature)


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock):
    """A kit for all tests that leave it ready."""
    return start_shared(make_api_lock(features=ALL)).wait_ready()


def events_of(answer):
    """Return the events of a stream, parsed; the last one may be [DONE]."""
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def text_of(events):
    choices = [event["choices"][0] for event in events[:-1] if event["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_chat(kit):
    """A whole answer passes as the engine wrote it, with the seed in a header."""
    answer = kit.chat("hello world", max_tokens=1)
    assert answer.json()["choices"][0]["message"]["content"] == "HELLO "
    assert answer.json()["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 1,
        "total_tokens": 3,
    }
    assert answer.headers["X-Mealkit-Seed"] == "7"
    assert answer.headers["Content-Type"] == "application/json"
    assert {"X-Mealkit-Recipe", "X-Request-Id"} <= {name.title() for name in answer.headers}


def test_worker_is_asked_for_everything(kit):
    """The engine gets every value, so that it never uses its own defaults."""
    asked = kit.asked(max_tokens=2, stop="x", logprobs=True, tools=[])
    assert asked["stop"] == ["END", "x"]
    assert (asked["seed"], asked["temperature"], asked["top_logprobs"]) == (7, 0.0, 0)
    assert "tools" not in asked


def test_stream(kit):
    """A stream passes event by event; callers get the number of tokens only on request."""
    answer = kit.chat("count:5", stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["X-Mealkit-Seed"] == "7"
    events = events_of(answer)
    assert (text_of(events), events[-1]) == ("0 1 2 3 4 ", "[DONE]")
    assert all(event["choices"] for event in events[:-1])
    answer = kit.chat("count:5", stream=True, stream_options={"include_usage": True})
    *_, last, done = events_of(answer)
    assert (last["choices"], last["usage"]["completion_tokens"], done) == ([], 5, "[DONE]")
    assert "mealkit_tokens_total" in kit.client.get("/metrics").text


def test_completion(kit):
    """Going on with a text works whole and streamed."""
    answer = kit.post("/v1/completions", prompt="a b")
    assert answer.json()["choices"][0]["text"] == "A B "
    events = events_of(kit.post("/v1/completions", prompt="a b", stream=True))
    assert [event["choices"][0]["text"] for event in events[:-1]] == ["A ", "B ", ""]


def test_first_piece_comes_at_once(kit, tmp_path):
    """A piece reaches the caller while the rest of the answer is not there yet."""
    body = {
        "model": MODEL_NAME,
        "stream": True,
        "messages": [{"role": "user", "content": "stall:3"}],
    }
    with kit.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        text = ""
        for chunk in answer.iter_text():
            text += chunk
            if text.count("on ") == 3:
                break
    assert "[DONE]" not in text


def test_refusals_before_a_stream(kit):
    """What is wrong before the first piece is an answer of its own, not an event."""
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "refuse"}]}),
        ("/v1/completions", {"prompt": "refuse"}),
    ):
        answer = kit.post(path, stream=True, **body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
        assert error["message"] == "the request has 300 tokens, the limit is 16"


def test_answer_that_is_none(kit):
    """An answer that is not JSON with a usage is a problem of the kit, not the caller's."""
    answer = kit.chat("garbage")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "ENGINE_ANSWER")
    answer = kit.chat("garbage", stream=True)
    assert events_of(answer)[-1]["error"]["code"] == "ENGINE_ANSWER"


@pytest.mark.parametrize(
    ("command", "code", "owner"),
    [
        ("error:3", "ENGINE_OUT_OF_MEMORY", "platform"),
        ("cut:3", "ENGINE_ANSWER", "kit-author"),
        ("die:3", "ENGINE_DIED", "kit-author"),
    ],
)
def test_streams_that_break(kit, command, code, owner):
    """A stream that breaks ends with an error that says why and whose it is, never in silence."""
    answer = kit.chat(command, stream=True)
    *before, last = events_of(answer)
    assert answer.status_code == 200
    assert text_of([*before, last]) == "on on on "
    error = last["error"]
    assert (error["code"], error["owner"]) == (code, owner)
    assert error["request_id"] == answer.headers["X-Request-Id"]
    kit.wait_ready()
    assert kit.chat("hello").status_code == 200


def test_stream_that_takes_too_long(start, make_api_lock):
    """The kit's time is for the whole stream; its end is an error event, and the slot is free."""
    serving = {"timeout_seconds": 2, "max_concurrency": 1}
    kit = start(make_api_lock(serving=serving)).wait_ready()
    answer = kit.chat("stall:3", stream=True)
    error = events_of(answer)[-1]["error"]
    assert (error["code"], error["owner"]) == ("REQUEST_TIMEOUT", "platform")
    assert kit.chat("hello").status_code == 200


def test_a_stream_that_is_silent(start, make_api_lock, tmp_path, background):
    """Comments keep it alive in the queue, and while the model is silent; all events follow."""
    serving = {"max_concurrency": 1, "keepalive_seconds": 1}
    kit = start(make_api_lock(serving=serving)).wait_ready()
    gates = [tmp_path / "first", tmp_path / "second"]
    first = background(kit.chat, f"wait:{gates[0]}")
    kit.wait_for(lambda: kit.gauge("mealkit_requests_running") == 1)
    messages = [{"role": "user", "content": f"wait:{gates[1]}"}]
    body = {"model": MODEL_NAME, "stream": True, "messages": messages}
    with kit.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert (answer.status_code, answer.headers["X-Mealkit-Seed"]) == (200, "7")
        pieces = answer.iter_text()
        assert next(pieces) == ": waiting\n\n"
        assert kit.gauge("mealkit_requests_waiting") == 1
        gates[0].touch()
        kit.wait_for(lambda: kit.gauge("mealkit_requests_waiting") == 0)
        assert next(pieces) == ": waiting\n\n"
        gates[1].touch()
        events = [event for event in "".join(pieces).split("\n\n") if event.startswith("data: ")]
    assert events[-1] == "data: [DONE]"
    assert first.result().status_code == 200


def test_a_refusal_after_a_comment(start, make_api_lock, tmp_path, background):
    """It is the last event, with its code in the log line; without comments it is a status."""
    for seconds, status in ((1, 200), (0, 400)):
        gate = tmp_path / f"gate-{seconds}"
        serving = {"max_concurrency": 1, "keepalive_seconds": seconds}
        kit = start(make_api_lock(serving=serving)).wait_ready()
        first = background(kit.chat, f"wait:{gate}")
        kit.wait_for(lambda kit=kit: kit.gauge("mealkit_requests_running") == 1)
        body = {"model": MODEL_NAME, "stream": True}
        body["messages"] = [{"role": "user", "content": "refuse"}]
        if seconds:
            with kit.client.stream("POST", "/v1/chat/completions", json=body) as answer:
                pieces = answer.iter_text()
                assert next(pieces) == ": waiting\n\n"
                gate.touch()
                error = json.loads("".join(pieces).split("data: ")[1])["error"]
        else:
            second = background(kit.client.post, "/v1/chat/completions", json=body)
            kit.wait_for(lambda kit=kit: kit.gauge("mealkit_requests_waiting") == 1)
            gate.touch()
            error, answer = second.result().json()["error"], second.result()
        assert (answer.status_code, error["mealkit_code"]) == (status, "REQUEST_TOO_LONG")
        assert first.result().status_code == 200
        lines = kit.wait_for(lambda kit=kit: kit.events("request")[1:] and kit.events("request"))
        assert {"status": status, "code": "REQUEST_TOO_LONG"}.items() <= lines[-1].items()


def test_caller_that_leaves_a_stream(kit, tmp_path):
    """When the caller goes, the engine stops: its connection is closed."""
    gone = tmp_path / "gone"
    body = {
        "model": MODEL_NAME,
        "stream": True,
        "messages": [{"role": "user", "content": f"gone:{gone}"}],
    }
    with kit.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_bytes())
    kit.wait_for(gone.exists)
    kit.wait_for(lambda: "mealkit_requests_running 0.0" in kit.client.get("/metrics").text)


def test_caller_that_reads_slowly(kit):
    """A caller that does not read holds up the engine; the gateway keeps only a little."""
    before = memory_bytes(kit)
    address = (kit.client.base_url.host, kit.client.base_url.port)
    messages = [{"role": "user", "content": "flood:20000"}]
    body = json.dumps({"model": MODEL_NAME, "stream": True, "messages": messages}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(address, 30) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(head.encode() + body)
        peer.recv(1000)
        # The engine returns 200 MB; other callers are answered at the same time.
        for _ in range(20):
            assert kit.chat("hello").status_code == 200
        assert memory_bytes(kit) - before < 20_000_000
    kit.wait_for(lambda: "mealkit_requests_running 0.0" in kit.client.get("/metrics").text)


def memory_bytes(kit):
    lines = Path(f"/proc/{kit.process.pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_many_streams_at_once(start, make_api_lock):
    """Streams beside each other do not mix."""
    kit = start(make_api_lock(serving={"max_concurrency": 64})).wait_ready()
    found = {}

    def run(number):
        with httpx2.Client(base_url=kit.client.base_url, timeout=30) as client:
            messages = [{"role": "user", "content": f"count:{number}"}]
            body = {"model": MODEL_NAME, "stream": True, "messages": messages}
            found[number] = text_of(events_of(client.post("/v1/chat/completions", json=body)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: "".join(f"{i} " for i in range(n)) for n in range(32)}


def test_stop_during_a_stream(start, make_api_lock):
    """A kit that is stopped lets a stream finish, or says that it was stopped."""
    kit = start(make_api_lock(serving={"drain_seconds": 1})).wait_ready()
    answers = []

    def run():
        answers.append(kit.chat("stall:3", stream=True))

    thread = threading.Thread(target=run)
    thread.start()
    kit.wait_for(lambda: "mealkit_requests_running 1.0" in kit.client.get("/metrics").text)
    kit.process.terminate()
    thread.join()
    assert events_of(answers[0])[-1]["error"]["code"] == "DRAINING"


def test_other_tasks(start, make_api_lock):
    """Classification, reranking and prediction have their endpoints, and no others."""
    kit = start(make_api_lock(Task.CLASSIFICATION)).wait_ready()
    assert kit.post("/v1/classify", input="a").json()["data"][0]["label"] == "short"
    assert kit.post("/v1/embeddings", input="a").status_code == 404
    kit = start(make_api_lock(Task.RERANKING)).wait_ready()
    ranking = {"query": "a", "documents": ["b", "a"]}
    assert kit.post("/v1/rerank", **ranking).json()["results"][0]["index"] == 1
    assert kit.post("/v2/rerank", **ranking).json()["meta"]["api_version"] == {"version": "2"}
    kit = start(make_api_lock(Task.PREDICTION)).wait_ready()
    answer = kit.post("/v1/predict", input={"text": "a b"})
    assert (answer.json()["output"], answer.headers["X-Mealkit-Seed"]) == ("A B", "3")
    events = events_of(kit.post("/v1/predict", input={"text": "a b"}, stream=True))
    assert events[0] == {"output": {"choices": [], "usage": {"word": "a"}}}
    assert (len(events), events[-1]) == (3, "[DONE]")
    refused = kit.post("/v1/predict", input={"x": "a b"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "REQUEST_INVALID")


def test_tokens(kit):
    """The tokens of a text are returned."""
    answer = kit.post("/v1/tokenize", prompt="a bb ccc").json()
    assert answer == {"count": 3, "max_model_len": 16, "tokens": [1, 2, 3]}


def test_the_manifest_does_not_tell_the_source(start, make_api_lock):
    """Callers see the digests of the paper's code; the rest of the lock is as it is in the image."""
    lock = make_api_lock(Task.PREDICTION)
    text = "KEY = 'of the house'\n"
    code = {"handler.py": LockedCode(sha256=Digest.of(text.encode()), text=text)}
    kit = start(lock.model_copy(update={"code": code})).wait_ready()
    answer = kit.client.get("/v1/manifest")
    assert "of the house" not in answer.text
    locked = json.loads((kit.root / "etc" / "kit.lock").read_bytes())
    assert locked["code"]["handler.py"].pop("text") == text
    assert answer.json() == locked
    assert answer.headers["ETag"] == f'"{Digest.of(answer.content)}"'
    assert "of the house" not in kit.client.get("/v1/metadata").text


def test_about(kit, make_api_lock):
    """The manifest is the lock byte by byte; licences are returned."""
    manifest = kit.client.get("/v1/manifest")
    assert manifest.content == (kit.root / "etc" / "kit.lock").read_bytes()
    assert manifest.headers["ETag"].startswith('"sha256:')
    licences = kit.client.get("/v1/license").json()
    assert licences["kit"] == {"name": "kit", "license": "Apache-2.0"}
    assert licences["model"]["license"] == "MIT"
