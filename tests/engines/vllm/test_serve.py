"""The worker's process becomes vLLM's server: the stand-in, started by the real command."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import pytest

import mealkit
from mealkit.engines.vllm.traits import TRAITS
from mealkit.recipe.kit import Task
from mealkit.runtime.worker_client.engine_errors import problems_of
from mealkit.runtime.worker_client.pool import WorkerAnswer

LIBRARY = Path(mealkit.__file__).parent.parent
STANDIN = Path(__file__).parent / "standin"
PATIENCE_SECONDS = 30


class Running:
    """A worker's process, and a client on its socket."""

    def __init__(self, config, standin):
        # Not tmp_path: a Unix socket's path may have 107 bytes.
        self.folder = tempfile.TemporaryDirectory(prefix="mk")
        root = Path(self.folder.name)
        (root / "worker.json").write_text(json.dumps(config.as_json()))
        self.socket = root / "worker.sock"
        self.said = ""
        host = [sys.executable, "-s", "-P", "-m", "mealkit.worker.host"]
        self.process = subprocess.Popen(
            [
                *host,
                *("--worker", "mealkit.engines.vllm.serve:VllmServer"),
                *("--socket", str(self.socket), "--config", str(root / "worker.json")),
            ],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{LIBRARY}:{STANDIN}",
                "STANDIN": json.dumps(standin),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.client = httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(self.socket)),
            base_url="http://worker",
            timeout=PATIENCE_SECONDS,
        )

    def wait_healthy(self):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            # Not by the client: it leaves sockets open that could not be connected.
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.socket)) == 0:
                    break
            time.sleep(0.01)
        assert self.client.get("/health").status_code == 200
        return self

    def chat(self, text, **more):
        body = {"model": "tiny", "messages": [{"role": "user", "content": text}], **more}
        return self.client.post("/v1/chat/completions", json=body)

    def end(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        if not self.said:
            self.said = self.process.communicate()[0]
        self.folder.cleanup()
        return self.said


@pytest.fixture
def run(configure):
    """Start a worker: ``run(task, settings, values, **what the stand-in does)``."""
    began = []

    def start(task=Task.GENERATION, settings=None, values=None, **standin):
        began.append(Running(configure(task, settings, values), standin))
        return began[-1]

    yield start
    for running in began:
        running.end()


def events_of(response):
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


def test_the_process_itself_becomes_the_server(run):
    """One process, one id: what is signalled and reaped is vLLM."""
    running = run().wait_healthy()
    command = Path(f"/proc/{running.process.pid}/cmdline").read_bytes().split(b"\0")
    assert b"mealkit.engines.vllm.run_vllm" in command
    environment = Path(f"/proc/{running.process.pid}/environ").read_bytes().split(b"\0")
    assert b"VLLM_BATCH_INVARIANT=1" in environment
    os.kill(running.process.pid, signal.SIGTERM)
    assert running.process.wait(PATIENCE_SECONDS) == 0
    assert "mode=abort" in running.end()


def test_a_chat(run):
    """An answer, whole and as a stream, with what was used."""
    running = run().wait_healthy()
    content = running.chat("one two three", max_tokens=2).json()
    assert content["choices"][0]["message"]["content"] == "one two "
    assert content["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    events = events_of(running.chat("one two", stream=True, stream_options={"include_usage": True}))
    assert events[-1] == "[DONE]"
    parts = [json.loads(event) for event in events[:-1]]
    said = [part["choices"][0]["delta"]["content"] for part in parts if part["choices"]]
    assert "".join(said) == "one two "
    assert parts[-1]["choices"] == []
    assert parts[-1]["usage"]["total_tokens"] == 4


def test_an_overlong_request_is_refused_with_the_numbers(run):
    """What vLLM says becomes the caller's problem, with the tokens and the limit."""
    running = run(values={"max_length": 4, "max_tokens": 3}).wait_healthy()
    for text in ("a b c d e", "a b c d e f g"):
        answer = running.chat(text)
        (found,) = problems_of(WorkerAnswer(answer.status_code, answer.content), TRAITS)
        assert answer.status_code == 400
        assert found.code == "REQUEST_TOO_LONG"
        assert found.message == (
            "the input has at least 5 tokens, but this model's maximum context length is 4 tokens"
        )


def test_tokens_are_counted(run):
    """By the path and in the shape of vLLM, for texts and for messages."""
    running = run().wait_healthy()
    for body in ({"prompt": "one two"}, {"messages": [{"role": "user", "content": "one two"}]}):
        found = running.client.post("/tokenize", json={"model": "tiny", **body}).json()
        assert (found["count"], found["max_model_len"], found["tokens"]) == (2, 4096, [0, 1])


def test_embeddings(run):
    """Vectors, in the order of the texts."""
    running = run(Task.EMBEDDINGS).wait_healthy()
    body = {"model": "tiny", "input": ["one", "three"], "encoding_format": "float"}
    found = running.client.post("/v1/embeddings", json=body).json()
    assert [item["embedding"][0] for item in found["data"]] == [3.0, 5.0]


def test_an_error_within_a_stream(run):
    """vLLM writes the error as an event, and [DONE] behind it all the same."""
    running = run().wait_healthy()
    events = events_of(running.chat("stream:fails at once", stream=True))
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["error"]["code"] == 500


def test_a_dead_engine_ends_the_process_well(run):
    """vLLM's exit code says nothing: its server shuts down in order when its engine has died."""
    running = run().wait_healthy()
    answer = running.chat("core:dies")
    (found,) = problems_of(WorkerAnswer(answer.status_code, answer.content), TRAITS)
    assert (answer.status_code, found.code) == (500, "ENGINE_DIED")
    assert running.client.get("/health").status_code == 503
    assert running.process.wait(PATIENCE_SECONDS) == 0
    assert "EngineCore encountered an issue" in running.end()


def test_settings_that_cannot_be_used(configure):
    """The host refuses before anything of vLLM is started, in the form of a problem."""
    config = configure()
    form = {**config.as_json(), "settings": {}}
    running = Running(type(config).from_json(json.dumps(form)), {})
    code = running.process.wait(PATIENCE_SECONDS)
    last = json.loads(running.end().splitlines()[-1])
    assert (code, last["code"]) == (9, "CONFIG_INVALID")
