"""The stand-in behind the chats answers as an engine does, and its callers count what it sends."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import pytest

from benchmarks.chat_standin import PIECE
from benchmarks.clock import UnixConnection, answers, wait_for
from benchmarks.registry import free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def standin():
    """Run the stand-in; give its port and its socket."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "s"
        command = [sys.executable, ROOT / "benchmarks/chat_standin.py", socket, str(port), "m"]
        with subprocess.Popen(command) as process:
            try:
                assert wait_for(
                    lambda: answers(UnixConnection(socket), "/health"),
                    lambda: process.poll() is not None,
                    30,
                )
                yield port, socket
            finally:
                process.terminate()


def _ask(port, text, **more):
    form = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return httpx2.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=form)


def test_a_whole_answer_counts_its_tokens(standin):
    """The answer is OpenAI's, with usage."""
    answer = _ask(standin[0], "hello").json()
    assert answer["choices"][0]["message"]["content"] == PIECE * 16
    assert answer["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize("asked", ["count:5", "count:5:200"])
def test_a_stream_has_as_many_tokens_as_were_asked_for(standin, asked):
    """Role, tokens, end, usage, [DONE]: as fast as it goes, or in steps."""
    lines = [line for line in _ask(standin[0], asked, stream=True).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]]
    assert "".join(said).lower() == PIECE * 5
    assert chunks[-1]["usage"]["completion_tokens"] == 16


def test_the_caller_of_streams_counts_every_token(standin):
    """All streams are whole, and a token cut by a read is counted once."""
    command = [sys.executable, "-m", "benchmarks.streams", str(standin[0]), "m", "8", "500", "0"]
    done = subprocess.run([*command, "0"], cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    assert figures["refused"] == 0
    assert figures["tokens_per_second"] > 0
    assert figures["first_p50"] <= figures["first_p99"]
