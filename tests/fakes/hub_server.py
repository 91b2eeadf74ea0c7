"""A Hub on loopback for the real huggingface_hub client, with faults that can be switched on.

Paths and headers are those that the client asks for and reads: /api/models/..., /REPO/resolve/...
"""

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "example/model"


@dataclass
class HubFile:
    """A file: its bytes, or only its first ones where a test claims a size that nobody sends."""

    head: bytes
    size_bytes: int
    sha256: str
    is_lfs: bool

    def read(self, start: int, stop: int) -> bytes:
        piece = self.head[start:stop]
        return piece + b"\0" * (stop - start - len(piece))


@dataclass
class Fault:
    """What goes wrong when a file is asked for."""

    flipped_at: int | None = None
    """One bit of the byte here is flipped."""
    short_bytes: int | None = None
    """The file ends here, and the server says that this is all."""
    cut_at: int | None = None
    """The connection is closed here, in the middle of the file."""
    cuts: int = 1_000_000
    """How often it is cut."""
    ignores_range: bool = False
    """Every answer is the whole file."""
    status: int | None = None
    """The status that every answer has."""
    statuses: int = 1_000_000
    """How often it has that status."""
    error_code: str | None = None
    """What X-Error-Code says with that status."""
    location: str | None = None
    """Where every answer redirects to."""
    gate_at: int | None = None
    """Sending stops here until the gate is opened."""
    after_gate: bool = False
    """Nothing is answered before another file's sending has come to the gate."""


@dataclass
class Seen:
    """A request, and how many bytes of a body were sent for it."""

    method: str
    path: str
    headers: dict[str, str]
    sent_bytes: int = 0


@dataclass
class HubServer:
    """One repository with one commit, ``main``; also serves /plain/NAME without any API."""

    files: dict[str, HubFile] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    at_gate: threading.Event = field(default_factory=threading.Event)
    api_status: int | None = None
    api_error_code: str | None = None
    api_body: bytes | None = None
    """What the API answers instead of what is there."""
    etag: Callable[[HubFile], str] = lambda file: f'"{file.sha256}"'
    connections: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.at_gate.set()
        self.stop()

    def stop(self) -> None:
        """Go down: open connections end, and new ones are refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, name: str, data: bytes, *, lfs: bool = False) -> str:
        """Put a file into the repository; return its SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[name] = HubFile(data, len(data), digest, lfs)
        return digest

    def claim(self, name: str, head: bytes, size_bytes: int) -> str:
        """Put a large file there that has only a head; the rest is zeros made when asked for."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        self.files[name] = HubFile(head, size_bytes, digest, is_lfs=True)
        return digest

    def fault(self, name: str, **fields: Any) -> None:
        """Switch a file's faults on."""
        self.faults[name] = Fault(**fields)

    def downloads(self, name: str) -> list[Seen]:
        """Return the requests for a file's bytes."""
        return [
            seen
            for seen in self.seen
            if seen.method == "GET" and seen.path.endswith(f"/{name}") and "/api/" not in seen.path
        ]

    @property
    def sent_bytes(self) -> int:
        return sum(seen.sent_bytes for seen in self.seen)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.hub.connections.append(self.connection)

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.request_seen = Seen(self.command, path, dict(self.headers))
        self.hub.seen.append(self.request_seen)
        if path.startswith("/api/models/"):
            self._api(path)
        elif path.startswith("/plain/"):
            self._file(path.removeprefix("/plain/"))
        elif "/resolve/" in path:
            repo, _, rest = path[1:].partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._file(name if (repo, revision) in ((REPO, COMMIT), (REPO, "main")) else "")
        else:
            self._answer(404, b"")

    def _api(self, path: str) -> None:
        repo, _, revision = path.removeprefix("/api/models/").partition("/revision/")
        if self.hub.api_status:
            self._answer(self.hub.api_status, b"", {"X-Error-Code": self.hub.api_error_code or ""})
        elif self.hub.api_body is not None:
            self._answer(200, self.hub.api_body, {"Content-Type": "application/json"})
        elif repo != REPO:
            self._answer(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("", "main", COMMIT):
            self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [self._sibling(name, file) for name, file in self.hub.files.items()]
            info = {"id": REPO, "sha": COMMIT, "siblings": siblings}
            self._answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _sibling(self, name: str, file: HubFile) -> dict[str, object]:
        sibling: dict[str, object] = {
            "rfilename": name,
            "size": file.size_bytes,
            "blobId": file.sha256[:40],
        }
        if file.is_lfs:
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size_bytes, "pointerSize": 135}
        return sibling

    def _file(self, name: str) -> None:
        file = self.hub.files.get(name)
        fault = self.hub.faults.get(name, Fault())
        if fault.after_gate:
            self.hub.at_gate.wait()
        if fault.status and fault.statuses > 0:
            fault.statuses -= 1
            self._answer(fault.status, b"", {"X-Error-Code": fault.error_code or ""})
        elif fault.location:
            self._answer(302, b"", {"Location": fault.location})
        elif file is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self._send(file, fault)

    def _send(self, file: HubFile, fault: Fault) -> None:
        size = file.size_bytes if fault.short_bytes is None else fault.short_bytes
        etag = self.hub.etag(file)
        start, stop, status = 0, size, 200
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if asked and not fault.ignores_range and condition in (None, etag):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop, status = int(first), min(int(last) + 1 if last else size, size), 206
        if start >= size and size:
            self._answer(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(file, fault, start, stop)

    def _send_body(self, file: HubFile, fault: Fault, start: int, stop: int) -> None:
        step = 16 * 1024
        for offset in range(start, stop, step):
            piece = bytearray(file.read(offset, min(offset + step, stop)))
            for name in ("cut_at", "gate_at", "flipped_at"):
                at = getattr(fault, name)
                if at is None or not offset <= at < offset + len(piece):
                    continue
                if name == "flipped_at":
                    piece[at - offset] ^= 1
                elif name == "gate_at":
                    self.hub.at_gate.set()
                    self.hub.gate.wait()
                elif fault.cuts > 0:
                    fault.cuts -= 1
                    self._write(piece[: at - offset])
                    self.close_connection = True
                    return
            if not self._write(piece):
                return

    def _write(self, piece: bytes | bytearray) -> bool:
        self.request_seen.sent_bytes += len(piece)
        try:
            self.wfile.write(piece)
            self.wfile.flush()
        except OSError:  # the client has what it wanted
            self.close_connection = True
            return False
        return True

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._write(body)


@contextlib.contextmanager
def hub_in_use(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Run a Hub that HF_ENDPOINT points to."""
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server
