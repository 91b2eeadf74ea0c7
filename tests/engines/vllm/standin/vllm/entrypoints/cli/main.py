"""``vllm serve`` without a model: the recorded flags, the documented endpoints, mishaps on demand.

What goes wrong is told by the variable STANDIN, as JSON: ``load_waits_for`` and ``load_says`` and
``load_exits`` while it loads, ``frozen_if`` (nothing is generated while the file exists),
``requests`` (a file that every request is written to). A text that begins with ``core:dies``,
``gpu:fails``, ``stream:fails`` or ``wait:PATH`` obeys.
"""

import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from vllm.recorded import DEFINITIONS, make_parser, said

STANDIN: dict[str, Any] = json.loads(os.environ.get("STANDIN", "{}"))
# Logged at every start under a limit of fewer than 65535 open files.
FEW_FILES = (
    "WARNING [system_utils.py:255] Found ulimit of 20000 and failed to automatically increase with"
    " error current limit exceeds maximum limit. This can cause fd limit errors like `OSError:"
    " [Errno 24] Too many open files`. Consider increasing with ulimit -n"
)
# vLLM looks every 5 seconds whether its engine has died (launcher.py, watchdog_loop).
WATCHDOG_SECONDS = 0.2


class RefusedError(Exception):
    """An error answer: status, type, message, parameter."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.form = {"error": {"message": message, "type": kind, "param": param, "code": status}}


def log(text: str, process: str = "APIServer") -> None:
    """Write as vLLM's loggers do, the process before the text."""
    for line in text.splitlines():
        sys.stdout.write(f"({process} pid={os.getpid()}) {line}\n")
    sys.stdout.flush()


class Server(ThreadingHTTPServer):
    """HTTP on the Unix socket that vLLM binds before it loads, and listens on afterwards."""

    address_family = socket.AF_UNIX
    daemon_threads = True

    def __init__(self, options: Any) -> None:
        super().__init__(options.uds, Handler, bind_and_activate=False)
        self.options = options
        self.dead = threading.Event()
        self.tokens = 0
        self.socket.bind(options.uds)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("unix", 0)


class Handler(BaseHTTPRequestHandler):
    """The endpoints of vLLM's server that a gateway uses."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        match self.path:
            case "/health":
                # 200 as long as the engine's process lives: vllm-project/vllm#36960
                self._send(503 if self.server.dead.is_set() else 200, b"")
            case "/metrics":
                self._send(200, self._metrics(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                self._send(404, b'{"detail":"Not Found"}')

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length))
        if path := STANDIN.get("requests"):
            with Path(path).open("a") as file:
                file.write(json.dumps({"path": self.path, "body": body}) + "\n")
        try:
            self._answer(body)
        except RefusedError as error:
            self._send(error.status, json.dumps(error.form).encode())

    def _answer(self, body: dict[str, Any]) -> None:
        if body.get("model") != self.server.options.served_model_name[0]:
            known = self.server.options.served_model_name
            message = said("unknown model", body.get("model"), known)
            raise RefusedError(404, "NotFoundError", message, "model")
        match self.path:
            case "/tokenize":
                tokens = self._count(_prompt(body))
                limit = self.server.options.max_model_len
                content = {"count": tokens, "max_model_len": limit, "tokens": list(range(tokens))}
                self._send(200, json.dumps({**content, "token_strs": None}).encode())
            case "/v1/embeddings":
                self._embed(body)
            case "/v1/chat/completions" | "/v1/completions":
                self._generate(body)
            case _:
                self._send(404, b'{"detail":"Not Found"}')

    def _count(self, text: str) -> int:
        return len(text.split())

    def _check(self, text: str) -> int:
        limit = self.server.options.max_model_len
        # The tokenizer stops one token after the limit.
        tokens = min(self._count(text), limit + 1)
        if tokens > limit:
            message = said("too many tokens", limit, "at least ", tokens)
            message += f" (parameter=input_tokens, value={tokens})"
            raise RefusedError(400, "BadRequestError", message, "input_tokens")
        return tokens

    def _engine(self, text: str) -> None:
        """Be the engine: obey the text, or be dead, or hang."""
        if self.server.dead.is_set():
            raise RefusedError(500, "InternalServerError", said("dead, for callers"))
        command, _, value = text.partition(":")
        if command in {"core", "gpu"}:
            if command == "gpu":
                log(
                    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"
                    " has a total capacity of 79.25 GiB of which 1.12 GiB is free.",
                    "EngineCore",
                )
            log(said("core dead"))
            self.server.dead.set()
            raise RefusedError(500, "InternalServerError", said("dead, for callers"))
        if command == "wait":
            _wait_for(Path(value))
        while (path := STANDIN.get("frozen_if")) and Path(path).exists():
            time.sleep(0.01)

    def _embed(self, body: dict[str, Any]) -> None:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        counts = [self._check(text) for text in texts]
        for text in texts:
            self._engine(text)
        data = [
            {"index": index, "object": "embedding", "embedding": _vector(text)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts), "completion_tokens": 0}
        content = {"id": "embd-1", "object": "list", "created": 1, "model": body["model"]}
        self._send(200, json.dumps({**content, "data": data, "usage": usage}).encode())

    def _generate(self, body: dict[str, Any]) -> None:
        text = _prompt(body)
        prompt_tokens = self._check(text)
        self._engine(text)
        # As in vLLM, an answer is as long as the context lets it be (api_utils.py, get_max_tokens).
        left = self.server.options.max_model_len - prompt_tokens
        words = _words(text, body)[:left]
        self.server.tokens += len(words)
        usage = {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + len(words),
            "completion_tokens": len(words),
        }
        if body.get("stream"):
            self._stream(body, words, usage, fails=text.startswith("stream:fails"))
        else:
            choice = {**_choice(self.path, "".join(words), "message"), "finish_reason": "stop"}
            content = _envelope(self.path, body["model"], chunk=False)
            content |= {"choices": [choice], "usage": usage}
            self._send(200, json.dumps(content).encode())

    def _stream(
        self, body: dict[str, Any], words: list[str], usage: dict[str, int], *, fails: bool
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in _events(self.path, body, words, usage, fails=fails):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _metrics(self) -> bytes:
        name = self.server.options.served_model_name[0]
        label = f'{{engine="0",model_name="{name}"}}'
        lines = [
            "# HELP python_gc_objects_collected_total Objects collected during gc",
            "# TYPE python_gc_objects_collected_total counter",
            'python_gc_objects_collected_total{generation="0"} 1.0',
            "# HELP process_open_fds Number of open file descriptors.",
            "# TYPE process_open_fds gauge",
            "process_open_fds 5.0",
        ]
        known = {"vllm:num_requests_running": 0, "vllm:generation_tokens": self.server.tokens}
        for metric, value in known.items():
            assert metric in DEFINITIONS["metrics"]
            kind, end = ("counter", "_total") if "tokens" in metric else ("gauge", "")
            lines += [f"# HELP {metric}{end} x", f"# TYPE {metric}{end} {kind}"]
            lines += [f"{metric}{end}{label} {value}.0"]
        return ("\n".join(lines) + "\n").encode()

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _prompt(body: dict[str, Any]) -> str:
    if "messages" in body:
        content = body["messages"][-1]["content"]
        return content if isinstance(content, str) else content[0]["text"]
    return body["prompt"]


def _words(text: str, body: dict[str, Any]) -> list[str]:
    """Say the text again, word by word, as far as is asked for."""
    words = [f"{word} " for word in text.split()]
    return words[: body.get("max_tokens") or len(words)]


def _vector(text: str) -> list[float]:
    return list(struct.unpack("<4f", struct.pack("<4f", len(text), 0.5, 0.25, -1.0)))


def _choice(path: str, text: str, name: str) -> dict[str, Any]:
    if "chat" not in path:
        return {"index": 0, "text": text, "logprobs": None}
    return {"index": 0, name: {"role": "assistant", "content": text}, "logprobs": None}


def _envelope(path: str, model: str, *, chunk: bool) -> dict[str, Any]:
    kind = "text_completion" if "chat" not in path else "chat.completion"
    kind += ".chunk" if chunk and "chat" in path else ""
    return {"id": "cmpl-1", "object": kind, "created": 1, "model": model}


def _events(
    path: str, body: dict[str, Any], words: list[str], usage: dict[str, int], *, fails: bool
) -> Iterator[str]:
    head = _envelope(path, body["model"], chunk=True)
    for word in words:
        choice = {**_choice(path, word, "delta"), "finish_reason": None}
        yield json.dumps({**head, "choices": [choice]})
        if fails:
            yield json.dumps(
                RefusedError(500, "InternalServerError", said("dead, for callers")).form
            )
            yield "[DONE]"
            return
    choice = {**_choice(path, "", "delta"), "finish_reason": "stop"}
    yield json.dumps({**head, "choices": [choice]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield json.dumps({**head, "choices": [], "usage": usage})
    yield "[DONE]"


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


def _load() -> None:
    log("INFO Initializing a V1 LLM engine", "EngineCore")
    if path := STANDIN.get("load_waits_for"):
        log("INFO Loading safetensors checkpoint shards:   0% Completed | 0/2", "EngineCore")
        _wait_for(Path(path))
    if text := STANDIN.get("load_says"):
        log("ERROR EngineCore failed to start.\nTraceback (most recent call last):", "EngineCore")
        log(f"ERROR {text}", "EngineCore")
    if code := STANDIN.get("load_exits"):
        log("Traceback (most recent call last):")
        log("".join(f'  File "api_server.py", line {number}\n' for number in range(60)))
        log(f"RuntimeError: {said('core failed', {'EngineCore_DP0': code})}")
        os._exit(code)
    if name := STANDIN.get("load_ends_by"):
        os.kill(os.getpid(), signal.Signals[name])


def main() -> None:
    """Parse, bind, load, listen; end on SIGTERM at once, or soon after the engine died."""
    options = make_parser().parse_args(sys.argv[2:])
    assert sys.argv[1] == "serve"
    log(f"INFO {said('version and model', DEFINITIONS['version'], options.model_tag)}")
    log(FEW_FILES)
    server = Server(options)

    def stop(*_: object) -> None:
        log(f"INFO {said('stopping', 'abort', options.shutdown_timeout)}")
        os._exit(0)  # what runs is aborted

    signal.signal(signal.SIGTERM, stop)
    _load()
    log(f"INFO {said('starting', f'unix:{options.uds}')}")
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not server.dead.wait(WATCHDOG_SECONDS):
        pass
    # vLLM's server ends of itself, and well, when its engine has died: launcher.py, watchdog_loop
    time.sleep(WATCHDOG_SECONDS)
    log("INFO Application shutdown complete.")
    os._exit(0)


if __name__ == "__main__":
    main()
