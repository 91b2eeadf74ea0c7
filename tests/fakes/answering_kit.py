"""A kit on loopback that answers by plain rules, as a kit of each task does; and locks for it."""

import base64
import contextlib
import json
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from fakes.kits import KIT, FixedInputs, parts_of
from fakes.odd_server import Quiet
from mealkit.acceptance.target import Target
from mealkit.digest import digest_of_file
from mealkit.lock.resolve import resolve
from mealkit.recipe.cases import Case
from mealkit.recipe.claims import Claimed, LockedDataset
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import Lock, lock_bytes
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin
from mealkit.recipe.task_endpoints import task_endpoint

Answered = tuple[int, dict[str, str], Any]
"""Status, headers, and the content: JSON, or bytes as they are."""


def vector_of(text: str) -> list[float]:
    """The counts of three letters: texts with the same letters have the same vector."""
    return [float(text.count(letter)) + 0.125 for letter in "abc"]


def packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def answer_of(path: str, body: dict[str, Any]) -> Any:
    """What a well-behaved kit answers: letters' counts, the first letter, the text in capitals."""
    match path:
        case "/v1/embeddings":
            texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
            return {"data": [{"embedding": packed(vector_of(text))} for text in texts]}
        case "/v1/classify":
            return {"data": [{"label": body["input"][:1], "probs": [1.0]}]}
        case "/v1/rerank":
            documents = body["documents"]
            scores = [float(text.count(body["query"])) for text in documents]
            order = sorted(range(len(documents)), key=lambda index: -scores[index])
            return {
                "results": [{"index": index, "relevance_score": scores[index]} for index in order]
            }
        case "/v1/chat/completions":
            text = body["messages"][-1]["content"].upper() + str(body.get("seed", ""))
            usage = {"prompt_tokens": 1, "completion_tokens": len(text), "total_tokens": 1}
            return {"choices": [{"message": {"content": text}}], "usage": usage}
        case "/v1/predict":
            return {"output": {"words": sorted(body["input"]["text"].split()), "count": 1.5}}
        case _:
            return {"error": {"mealkit_code": "ROUTE_UNKNOWN", "message": "no", "owner": "caller"}}


_INPUTS: dict[Task, dict[str, Any]] = {
    Task.PREDICTION: {
        "model": {"type": "string"},
        "input": {"$ref": "#/components/schemas/Input"},
        "stream": {"enum": [False, None]},
    },
    Task.RERANKING: {
        "query": {"type": "string"},
        "documents": {"type": "array", "items": {"type": "string"}},
    },
}


def described(lock: Lock) -> dict[str, Any]:
    """What a kit says of itself at /openapi.json, as far as its callers here read it."""
    task, features = lock.model.task, lock.engine.features
    request = {"type": "object", "properties": _INPUTS.get(task, {})}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}
    made_up = {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    }
    return {
        "paths": {task_endpoint(task, features): {"post": {"requestBody": {"content": content}}}},
        "components": {
            "schemas": {"Request": request, "Input": {**made_up, "additionalProperties": False}}
        },
        "x-mealkit": {
            "model": lock.model.name,
            "task": task.value,
            "features": [feature.value for feature in features],
        },
    }


class AnsweringKit:
    """A running kit: `answer` may be replaced, and `asked` counts."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.answer: Callable[[str, dict[str, Any]], Any] = answer_of
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.recipe = str(lock.recipe)
        self.manifest: Any = lock_bytes(lock)
        self.description: dict[str, Any] = described(lock)
        self.key: str | None = None
        self.address = ""
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    @property
    def target(self) -> Target:
        return Target(self.address)

    def respond(self, path: str, body: dict[str, Any]) -> Answered:
        with self._lock:
            self.asked.append((path, body))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            found = self.answer(path, body)
        finally:
            with self._lock:
                self._now -= 1
        if isinstance(found, tuple):
            return found
        status = 400 if isinstance(found, dict) and "error" in found else 200
        return status, {}, found


class _Handler(BaseHTTPRequestHandler):
    kit: AnsweringKit
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.kit.key and self.headers.get("Authorization") != f"Bearer {self.kit.key}":
            self._send(401, {}, {})
        elif self.path == "/v1/metadata":
            self._send(200, {}, {"recipe": self.kit.recipe, "image": None})
        elif self.path == "/openapi.json":
            self._send(200, {}, self.kit.description)
        elif self.path == "/v1/manifest":
            self._send(200, {}, self.kit.manifest)
        else:
            self._send(404, {}, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kit.headers.append(dict(self.headers))
        self._send(*self.kit.respond(self.path, body))

    def _send(self, status: int, headers: dict[str, str], content: Any) -> None:
        if isinstance(content, Iterator):
            self._stream(status, content)
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.send_header("X-Mealkit-Recipe", self.kit.recipe)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def _stream(self, status: int, pieces: Iterator[bytes]) -> None:
        """Send pieces as server-sent events, each as soon as there is one."""
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.send_header("X-Mealkit-Recipe", self.kit.recipe)
        self.end_headers()
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.wfile.write(b"data: " + piece + b"\n\n")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def answering_kit(lock: Lock, tls: ssl.SSLContext | None = None) -> Iterator[AnsweringKit]:
    kit = AnsweringKit(lock)
    handler = type("Handler", (_Handler,), {"kit": kit})
    with Quiet(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        scheme = "http" if tls is None else "https"
        kit.address = f"{scheme}://127.0.0.1:{server.server_port}"
        try:
            yield kit
        finally:
            server.shutdown()
            thread.join()


def claim_of(**form: Any) -> Claimed:
    """A claim; by default of the similarity of the columns a and b."""
    whole = {
        "name": "claim",
        "source": "ours",
        "data": "rows",
        "ask": {"kind": "similarity", "first": "a", "second": "b"},
        "metric": "spearman",
        "value": 1.0,
        "tolerance": {"absolute": 0.01},
    } | form
    if whole["data"] is None:
        whole["ask"] = None
    return Claimed.model_validate_json(json.dumps(whole))


def file_of(path: Path, name: str) -> LockedFile:
    return LockedFile(
        path=name,
        sha256=digest_of_file(path),
        size_bytes=path.stat().st_size,
        format="data",
        origins=(FolderOrigin(file=path.name),),
    )


def lock_of(
    task: Task = Task.EMBEDDINGS,
    claims: Sequence[Claimed] = (),
    cases: Sequence[Case] = (),
    files: Sequence[LockedFile] = (),
) -> Lock:
    """A lock of a little kit with claims, cases and data, whose paths begin with its name."""
    lock = resolve(parts_of(KIT), FixedInputs())
    names = {file.path.partition("/")[0] for file in files}
    datasets = {
        name: LockedDataset(files=tuple(item for item in files if item.path.startswith(name)))
        for name in names
    }
    features = (Feature.CHAT, Feature.COMPLETION) if task is Task.GENERATION else ()
    return lock.model_copy(
        update={
            "model": lock.model.model_copy(update={"task": task}),
            "engine": lock.engine.model_copy(update={"features": features}),
            "claims": tuple(claims),
            "cases": tuple(cases),
            "datasets": datasets,
        }
    )
