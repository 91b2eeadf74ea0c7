"""The host: a real process over a real socket."""

import base64
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mealkit.worker.server import MAX_BODY_BYTES

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def host(start_host):
    return start_host().wait_until_ready()


@pytest.fixture
def fifos(tmp_path):
    """Two FIFOs: one on which the worker says that it runs, one for which it waits."""
    for name in ("running", "go"):
        os.mkfifo(tmp_path / name)
    return tmp_path / "running", tmp_path / "go"


class InBackground(threading.Thread):
    """A request whose answer is waited for later."""

    def __init__(self, ask):
        super().__init__()
        self.ask = ask
        self.reply = None
        self.start()

    def run(self):
        self.reply = self.ask()

    def result(self):
        self.join(60)
        assert self.reply is not None
        return self.reply


def test_embeddings_have_the_shape_that_clients_expect(host):
    """An answer has one numbered object per input, in order, the model's name and the usage."""
    answer = host.embed(["one two", "three"])
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    content = answer.json
    assert [item.pop("embedding") for item in content["data"]] == [
        host.embed(text).json["data"][0]["embedding"] for text in ("one two", "three")
    ]
    assert content == {
        "object": "list",
        "data": [{"object": "embedding", "index": index} for index in (0, 1)],
        "model": "m",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


def test_base64_and_float_are_the_same_numbers(host):
    """Both encodings carry exactly the same float32 values."""
    floats = host.embed("text", encoding_format="float").json["data"][0]["embedding"]
    packed = host.embed("text", encoding_format="base64").json["data"][0]["embedding"]
    assert struct.pack("<8f", *floats) == base64.b64decode(packed)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/", 404, "ROUTE_UNKNOWN", None),
        ("POST", "/v1/chat/completions", 404, "ROUTE_UNKNOWN", None),
        ("GET", "/v1/embeddings", 405, "METHOD_UNKNOWN", "POST"),
        ("DELETE", "/health", 405, "METHOD_UNKNOWN", "GET"),
    ],
)
def test_what_is_not_listed_does_not_get_through(host, method, path, status, code, allow):
    """Other paths and methods are refused in OpenAI's shape, with the owner and a hint."""
    answer = host.request(method, path)
    assert (answer.status, answer.headers.get("Allow")) == (status, allow)
    assert answer.error["code"] == code
    assert answer.error["owner"] == "caller"
    assert set(answer.error) == {"message", "type", "code", "param", "owner", "hint", "where"}


def test_head_has_no_body(host):
    """A HEAD request is refused without a body, so that the connection stays in step."""
    connection = host.connect()
    assert host.request("HEAD", "/health", connection=connection).body == b""
    assert host.request("GET", "/health", connection=connection).json == {"status": "ok"}


def test_a_connection_outlives_refusals(host):
    """One connection carries many requests, also after refused ones with bodies."""
    connection = host.connect()
    connection.connect()
    first = connection.sock
    assert host.request("POST", "/nowhere", {"a": 1}, connection=connection).status == 404
    assert host.request("POST", "/v1/embeddings", "{", connection=connection).status == 400
    body = {"model": "m", "input": "x"}
    assert host.request("POST", "/v1/embeddings", body, connection=connection).status == 200
    assert connection.sock is first


def test_a_body_that_is_too_large_is_refused_and_dropped(host):
    """A body over the limit is refused with both numbers, and the connection stays open."""
    connection = host.connect()
    answer = host.request(
        "POST", "/v1/embeddings", b"x" * (MAX_BODY_BYTES + 1), connection=connection
    )
    assert (answer.status, answer.error["code"]) == (413, "REQUEST_TOO_LARGE")
    assert str(MAX_BODY_BYTES + 1) in answer.error["message"]
    assert str(MAX_BODY_BYTES) in answer.error["message"]
    assert host.request("GET", "/health", connection=connection).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_bytes_that_are_no_request_are_refused(host, sent):
    """What cannot be read as one request gets one JSON error, then the connection ends."""
    connection = host.connect()
    connection.connect()
    connection.sock.sendall(sent)
    with connection.sock.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "REQUEST_INVALID"
    assert host.request("GET", "/health").status == 200


def test_a_bug_in_the_worker_ends_one_request_only(host):
    """An exception in the worker is a 500 without its details; the next request is answered."""
    answer = host.embed("bug")
    assert (answer.status, answer.error["code"]) == (500, "INTERNAL")
    assert "a bug" not in answer.error["message"]
    assert host.embed("x").status == 200


def test_an_answer_that_does_not_fit_is_refused(host):
    """Vectors missing from a worker's answer are an engine's failure, not a shorter list."""
    answer = host.embed(["x", "short"])
    assert (answer.status, answer.error["code"]) == (502, "ENGINE_ANSWER")


def test_a_caller_that_goes_away_harms_nobody(host, fifos):
    """A connection that is cut during its request is dropped without output on stderr."""
    running, go = fifos
    connection = host.connect()
    body = {"model": "m", "input": f"wait {running} {go}"}
    connection.request("POST", "/v1/embeddings", json.dumps(body))
    running.read_bytes()
    connection.close()
    half = host.connect()
    half.connect()
    half.sock.sendall(b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
    half.close()
    go.write_bytes(b"")
    assert host.embed("x").status == 200
    host.terminate()
    assert host.ended() == (0, "")


def test_requests_do_not_wait_for_each_other(host, fifos):
    """While one request runs, another is answered."""
    running, go = fifos
    slow = InBackground(lambda: host.embed(f"wait {running} {go}"))
    running.read_bytes()
    assert host.embed("x").status == 200
    assert host.request("GET", "/health").status == 200
    go.write_bytes(b"")
    assert slow.result().status == 200


def test_health_answers_while_the_worker_loads(start_host, fifos):
    """The socket answers 503 until the worker has loaded, then 200."""
    _, go = fifos
    host = start_host(settings={"wait_for": str(go)}).wait_until_bound()
    answer = host.request("GET", "/health")
    assert (answer.status, answer.json) == (503, {"status": "loading"})
    refused = host.embed("x")
    assert (refused.status, refused.error["code"]) == (503, "NOT_READY")
    go.write_bytes(b"")
    host.wait_until_ready()
    assert host.request("GET", "/health?verbose=1").json == {"status": "ok"}


def test_sigterm_lets_a_running_request_finish(host, fifos):
    """After SIGTERM no new connections, the running request is answered, and the exit code is 0."""
    running, go = fifos
    idle = host.connect()
    assert host.request("GET", "/health", connection=idle).status == 200
    slow = InBackground(lambda: host.embed(f"wait {running} {go}"))
    running.read_bytes()
    host.terminate()
    # The idle connection is ended by the host, which shows that it drains.
    assert idle.sock.recv(1) == b""
    with pytest.raises(OSError, match=r"refused|No such file"):
        host.request("GET", "/health")
    go.write_bytes(b"")
    assert slow.result().status == 200
    assert host.ended() == (0, "")
    assert not host.socket.exists()


def test_sigterm_while_loading_ends_at_once(start_host, fifos):
    """A worker that is still loading does not hold up the end, even if its load never returns."""
    _, go = fifos
    host = start_host(settings={"wait_for": str(go)}).wait_until_bound()
    host.terminate()
    assert host.ended() == (0, "")
    assert not host.socket.exists()


@pytest.mark.parametrize(
    ("given", "exit_code", "code", "said"),
    [
        ({"settings": {"refuse": "WEIGHTS_MISSING"}}, 11, "WEIGHTS_MISSING", "cannot be loaded"),
        ({"settings": {"refuse": "HOST_MEMORY"}}, 10, "HOST_MEMORY", "cannot be loaded"),
        ({"settings": {"raise": 1}}, 11, "ENGINE_START", "RuntimeError: out of luck"),
        ({"worker": "plain_worker:Nobody"}, 11, "ENGINE_START", "Nobody"),
        ({"worker": "no_such_module:Worker"}, 11, "ENGINE_START", "no_such_module"),
        ({"worker": "plain_worker"}, 11, "ENGINE_START", "plain_worker"),
        ({"worker": "plain_worker:Mute"}, 11, "ENGINE_START", "Mute does not support the task"),
        ({"task": "juggling"}, 11, "ENGINE_START", "'juggling'"),
        ({"config": "{"}, 9, "CONFIG_INVALID", "not JSON"),
        ({"surprise": 1}, 9, "CONFIG_INVALID", "worker.surprise"),
        ({"model_name": 7}, 9, "CONFIG_INVALID", "worker.model_name is int"),
        ({"socket_path": Path("/proc/1/nowhere/x.sock")}, 9, "CONFIG_INVALID", "No such file"),
        ({"socket_path": Path("/proc") / ("x" * 120)}, 9, "CONFIG_INVALID", "too long"),
    ],
)
def test_a_start_that_fails_says_why(start_host, given, exit_code, code, said):
    """One problem as one JSON line, and the exit code of its class."""
    found, problem = start_host(**given).problem()
    assert (found, problem["code"]) == (exit_code, code)
    assert said in problem["message"]
    assert set(problem) == {"code", "message", "hint", "where", "owner"}


def test_settings_that_are_not_there_are_named(tmp_path, start_host):
    """A missing settings file is named in the problem."""
    command = [sys.executable, "-m", "mealkit.worker.host", "--worker", "x:Y"]
    missing = tmp_path / "missing.json"
    ended = subprocess.run(
        [*command, "--socket", tmp_path / "s", "--config", missing],
        capture_output=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert ended.returncode == 9
    assert json.loads(ended.stderr)["where"] == str(missing)


def test_a_socket_left_by_a_killed_host_is_replaced(host, start_host):
    """After kill -9 the stale socket does not stand in the way of the next start."""
    host.process.kill()
    assert host.ended()[0] == -signal.SIGKILL
    assert host.socket.is_socket()
    assert start_host().wait_until_ready().embed("x").status == 200


def test_a_socket_in_use_is_left_alone(host, start_host):
    """A second host on the same socket refuses to start; the first keeps running."""
    code, problem = start_host().problem()
    assert (code, problem["code"], problem["where"]) == (9, "CONFIG_INVALID", str(host.socket))
    assert host.embed("x").status == 200


def test_a_file_in_the_place_of_the_socket_is_kept(tmp_path, start_host):
    """A file that is not a socket is never deleted."""
    path = tmp_path / "precious"
    path.write_text("recipe")
    code, problem = start_host(socket_path=path).problem()
    assert (code, problem["where"]) == (9, str(path))
    assert path.read_text() == "recipe"


def test_only_the_same_user_may_connect(host):
    """The socket's mode keeps other users out."""
    assert host.socket.stat().st_mode & 0o777 == 0o600


def test_the_host_needs_the_standard_library_only():
    """Host and worker form import in an interpreter that has no packages at all."""
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "import mealkit.worker.host, mealkit.engines.onnx.worker\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops - set(sys.stdlib_module_names) - {'__main__'}))\n"
        "print(sorted(name for name in sys.modules if name.startswith('mealkit.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=True
    )
    others, ours = done.stdout.splitlines()
    assert others == "['mealkit']"
    assert "mealkit.engines.engine" not in ours
    assert "mealkit.kit" not in ours
