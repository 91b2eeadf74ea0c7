"""Fixtures for engines: a host process over a real socket, and the real model as a worker sees it."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.gguf import write_minilm
from memory.conftest import setting, shape

__all__ = ["setting", "shape"]

REPOSITORY = Path(__file__).parents[2]
# How long an engine may take to load: torch takes a minute on a busy machine with a cold disk.
PATIENCE_SECONDS = 240


class UnixConnection(http.client.HTTPConnection):
    """A keep-alive HTTP connection to a Unix socket."""

    def __init__(self, path: Path):
        super().__init__("worker")
        self.path = path

    def connect(self):
        """Connect; a socket without a listener is an OSError."""
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(str(self.path))
        except OSError:
            self.close()
            raise


@dataclass
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which every refusal has."""
        return self.json["error"]


@dataclass
class Host:
    """A running host process."""

    process: subprocess.Popen[str]
    socket: Path
    connections: list[UnixConnection] = field(default_factory=list)

    def connect(self) -> UnixConnection:
        """Return a connection that is closed when the test ends."""
        connection = UnixConnection(self.socket)
        self.connections.append(connection)
        return connection

    def request(self, method, path, body=None, *, connection=None, headers=None) -> Reply:
        """Send one request, on a connection of its own unless given, and read the whole answer."""
        used = connection or self.connect()
        content = json.dumps(body) if isinstance(body, dict) else body
        used.request(method, path, content, headers or {})
        answer = used.getresponse()
        return Reply(answer.status, dict(answer.headers), answer.read())

    def embed(self, given, **fields) -> Reply:
        """Ask for embeddings."""
        return self.request("POST", "/v1/embeddings", {"model": "m", "input": given, **fields})

    def wait_until_ready(self) -> "Host":
        """Wait until /health answers 200; the test fails if the process ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[1]
            with contextlib.suppress(OSError):
                if self.request("GET", "/health").status == 200:
                    return self
            time.sleep(0.01)
        raise AssertionError("the host did not become ready")

    def wait_until_bound(self) -> "Host":
        """Wait until the socket accepts connections."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[1]
            with contextlib.suppress(OSError):
                self.request("GET", "/health")
                return self
            time.sleep(0.01)
        raise AssertionError("the host did not bind its socket")

    def ended(self) -> tuple[int, str]:
        """Wait for the process to end; return its exit code and what it said on stderr."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def problem(self) -> tuple[int, dict[str, Any]]:
        """Wait for the process to end; return its exit code and the problem in its last line."""
        code, said = self.ended()
        return code, json.loads(said.splitlines()[-1])

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Kill what is left of it."""
        for connection in self.connections:
            connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()


StartHost = Callable[..., Host]


@pytest.fixture
def start_host(tmp_path) -> Iterator[StartHost]:
    """Start host processes: ``start_host(worker, model_root=..., ...)``; all are ended afterwards.

    ``packages``: folders with the packages of an engine that the tests' own Python does not have.
    """
    with starting_hosts(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_host(tmp_path_factory) -> Iterator[StartHost]:
    """Start host processes as ``start_host`` does, for all tests of a module."""
    with starting_hosts(tmp_path_factory.mktemp("hosts")) as start:
        yield start


@contextlib.contextmanager
def starting_hosts(folder: Path) -> Iterator[StartHost]:
    """Give what starts hosts with their files in a folder; end all of them."""
    hosts: list[Host] = []

    def start(
        worker="plain_worker:PlainWorker",
        *,
        config=None,
        socket_path=None,
        packages=(),
        **fields,
    ) -> Host:
        written = folder / f"config-{len(hosts)}.json"
        values = {
            "model_name": "m",
            "model_root": str(folder),
            "task": "embeddings",
            "hyperparameters": {},
            "settings": {},
            "code_root": str(folder / "code"),
            **fields,
        }
        written.write_text(config if config is not None else json.dumps(values))
        path = socket_path or folder / "worker.sock"
        command = [sys.executable, "-B", "-m", "mealkit.worker.host"]
        own = (REPOSITORY, Path(__file__).parent)
        process = subprocess.Popen(
            [*command, "--socket", path, "--worker", worker, "--config", written],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": ":".join(map(str, [*packages, *own]))},
        )
        hosts.append(Host(process, path))
        return hosts[-1]

    try:
        yield start
    finally:
        for host in hosts:
            host.end()


@pytest.fixture(scope="session")
def onnx_folder(minilm_files, tmp_path_factory) -> Path:
    """Lay out a model as the container has it: weights, tokenizer and graph side by side."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("model.safetensors", "tokenizer.json"):
        shutil.copy(minilm_files / name, folder / name)
    shutil.copy(REPOSITORY / "kits/sbert-minilm/graph/model.onnx", folder)
    return folder


@pytest.fixture(scope="session")
def onnx_fields(onnx_folder) -> dict[str, Any]:
    """Return the fields of a worker's configuration for the real model."""
    return {
        "model_root": str(onnx_folder),
        "hyperparameters": {
            "pooling": "mean",
            "max_length": 256,
            "normalize": True,
            "overlong": "refuse",
        },
        "settings": {"threads": 1, "graph": "model.onnx"},
    }


@pytest.fixture(scope="session")
def golden() -> list[tuple[str, int, bytes]]:
    """Return texts with the number of their tokens and torch's vector, packed float32."""
    content = json.loads((Path(__file__).parent / "onnx/golden.json").read_text("utf-8"))
    return [
        (case["text"], case["tokens"], base64.b64decode(case["vector"]))
        for case in content["cases"]
    ]


@pytest.fixture(scope="session")
def llama_cpp_packages() -> Path:
    """Return the folder that ``make test`` installs the compiled llama-cpp engine into."""
    return installed_engine("llama-cpp")


@pytest.fixture(scope="session")
def minilm_gguf(test_cache, minilm_files) -> Path:
    """Return all-MiniLM-L6-v2 as a GGUF in half precision."""
    path = test_cache / "minilm-f16.gguf"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}")
        write_minilm(minilm_files, partial)
        partial.replace(path)
    return path


@pytest.fixture(scope="session")
def llama_cpp_settings() -> dict[str, Any]:
    """Return every flag of the llama-cpp engine, except the model's file."""
    return {
        "n_batch": 512,
        "n_ubatch": 512,
        "n_parallel": 1,
        "threads": 1,
        "flash_attn": False,
        "cache_type_k": "f16",
        "cache_type_v": "f16",
        "use_mmap": True,
        "use_mlock": False,
        "repack": False,
        "n_gpu_layers": 0,
    }


@pytest.fixture(scope="session")
def transformers_packages() -> Path:
    """Return the folder that ``make test`` installs torch and transformers into."""
    return installed_engine("transformers")


@pytest.fixture(scope="session")
def transformers_settings() -> dict[str, Any]:
    """Return every flag of the transformers engine."""
    return {
        "dtype": "float32",
        "device": "cpu",
        "attn_implementation": "sdpa",
        "threads": 1,
        "max_batch_size": 1,
        "trust_remote_code": False,
    }


def installed_engine(name: str) -> Path:
    """Return the folder with an engine's packages, or skip the test and say what is missing."""
    folder = REPOSITORY / ".engines" / name
    if not (folder / ".ready").is_file():
        pytest.skip(f"the engine {name} is not installed: make .engines/{name}/.ready")
    return folder


@pytest.fixture(scope="session")
def tiny_llama() -> Path:
    """Return the folder of the tiny Llama: safetensors, tokenizer, template, and GGUF."""
    return REPOSITORY / "kits/tiny-llama"


@pytest.fixture(scope="session")
def tiny_llama_graph(tiny_llama, tmp_path_factory) -> dict[str, Any]:
    """Return the onnx worker's configuration for generation: a graph next to the weights."""
    folder = tmp_path_factory.mktemp("tiny-llama-onnx")
    shutil.copytree(tiny_llama, folder, dirs_exist_ok=True)
    shutil.copytree(REPOSITORY / "kits/tiny-chat-onnx/graph", folder, dirs_exist_ok=True)
    return {"model_root": str(folder), "settings": {"threads": 1, "graph": "model.onnx"}}


@pytest.fixture(scope="session")
def generation_fields(tiny_llama) -> dict[str, Any]:
    """Return the configuration of every generation worker of the tiny Llama, without settings."""
    return {
        "model_root": str(tiny_llama),
        "task": "generation",
        "hyperparameters": {
            "max_length": 512,
            "max_tokens": 64,
            "temperature": 0.0,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": 0,
            "stop": [],
            "chat_template": "model",
            "tool_calls": "none",
            "overlong": "refuse",
        },
    }
