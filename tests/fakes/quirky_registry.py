"""A small registry on loopback that misbehaves on demand, as registries do in the wild."""

import hashlib
import json
import os
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients that go away in the middle are what the tests are about."""


class QuirkyRegistry:
    """A small correct registry in memory, with a place to misbehave before each request.

    ``quirks`` are called with the request's handler; one that answers by itself returns True.
    ``has_referrers`` turns the referrers API on; ``page`` is the length of a page of a list.
    """

    def __init__(self) -> None:
        self.has_referrers = False
        self.page: int | None = None
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.sessions: dict[str, bytearray] = {}
        self.quirks: list[Callable[[Any], Any]] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(_RegistryHandler):
            registry = outer

        self.server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def count(self, method: str, part: str) -> int:
        return sum(1 for seen, path, _ in self.seen if seen == method and part in path)

    def tags(self) -> list[str]:
        return sorted(name for name in self.manifests if not name.startswith("sha256:"))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _RegistryHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer's body waits 40 ms for its head
    registry: QuirkyRegistry

    def answer(self, status: int, body: bytes = b"", **headers: str) -> bool:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def reset(self) -> bool:
        """End the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        return True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        self.url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(self.url.query))
        self.registry.seen.append((self.command, self.path, dict(self.headers)))
        try:
            if any(quirk(self) for quirk in list(self.registry.quirks)):
                return
            getattr(self, f"_{self._kind()}")()
        except (BrokenPipeError, ConnectionResetError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _kind(self) -> str:
        for kind in ("uploads", "blobs", "manifests", "referrers", "tags"):
            if f"/{kind}/" in self.url.path:
                return kind
        return "root"

    def _root(self) -> None:
        self.answer(200, b"{}")

    def _blobs(self) -> None:
        data = self.registry.blobs.get(self.url.path.rpartition("/")[2])
        if data is None:
            self.answer(404)
        elif found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, end = int(found[1]), min(int(found[2]) + 1, len(data))
            span = f"bytes {start}-{end - 1}/{len(data)}"
            self.answer(206, data[start:end], Content_Range=span)
        else:
            self.answer(200, data)

    def _manifests(self) -> None:
        name = self.url.path.rpartition("/")[2]
        if self.command == "PUT":
            data = self.body()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.registry.manifests[name] = (self.headers["Content-Type"], data)
            self.registry.manifests[digest] = self.registry.manifests[name]
            subject = _subject(data) if self.registry.has_referrers else None
            known: dict[str, Any] = {"OCI_Subject": subject} if subject else {}
            self.answer(201, Docker_Content_Digest=digest, **known)
        elif self.command == "DELETE":
            self._delete(name)
        elif name in self.registry.manifests:
            media_type, data = self.registry.manifests[name]
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.answer(200, data, Content_Type=media_type, Docker_Content_Digest=digest)
        else:
            self.answer(404)

    def _delete(self, name: str) -> None:
        """Delete a tag, or a digest with its tags (distribution-spec "Content Management")."""
        manifests = self.registry.manifests
        found = manifests.get(name)
        if found is None:
            self.answer(404)
            return
        gone = [item for item in manifests if manifests[item] == found] if ":" in name else [name]
        for item in gone:
            del manifests[item]
        self.answer(202)

    def _referrers(self) -> None:
        """List what refers to a digest (distribution-spec "Listing Referrers")."""
        if not self.registry.has_referrers:
            self.answer(404)
            return
        subject, wanted = self.url.path.rpartition("/")[2], self.query.get("artifactType")
        found = [
            _entry(name, media_type, data)
            for name, (media_type, data) in sorted(self.registry.manifests.items())
            if name.startswith("sha256:") and _subject(data) == subject
        ]
        kept = [item for item in found if wanted in {None, item["artifactType"]}]
        headers: dict[str, Any] = {"OCI_Filters_Applied": "artifactType"} if wanted else {}
        index = "application/vnd.oci.image.index.v1+json"
        page = self._page(kept, [item["digest"] for item in kept], headers)
        form = {"schemaVersion": 2, "mediaType": index, "manifests": page}
        self.answer(200, json.dumps(form).encode(), Content_Type=index, **headers)

    def _tags(self) -> None:
        tags = self.registry.tags()
        if not tags:
            self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
            return
        headers: dict[str, Any] = {}
        form = {"name": self.url.path[4:-10], "tags": self._page(tags, tags, headers)}
        self.answer(200, json.dumps(form).encode(), Content_Type="application/json", **headers)

    def _page(self, items: list[Any], keys: list[str], headers: dict[str, Any]) -> list[Any]:
        """Return the page after ``last``, and link to the next one."""
        last, size = self.query.get("last", ""), self.registry.page or len(items) or 1
        left = [item for item, key in zip(items, keys, strict=True) if key > last]
        if len(left) > size:
            query = self.query | {"last": keys[len(keys) - len(left) + size - 1]}
            link = f"{self.url.path}?{urllib.parse.urlencode(query)}"
            headers["Link"] = f'<{link}>; rel="next"'
        return left[:size]

    def _uploads(self) -> bool:
        sessions = self.registry.sessions
        name = self.url.path.rpartition("/")[2]
        if self.command == "POST":
            name = os.urandom(8).hex()
            sessions[name] = bytearray()
            return self.answer(202, Location=f"{self.url.path}{name}")
        if name not in sessions:
            self.body()
            return self.answer(404)
        held = sessions[name]
        if self.command == "GET":
            return self.answer(204, Range=f"0-{max(len(held) - 1, 0)}", Location=self.url.path)
        start = self.headers.get("Content-Range", f"{len(held)}-").partition("-")[0]
        left = int(self.headers.get("Content-Length", 0))
        if int(start) != len(held):
            self.rfile.read(left)
            return self.answer(416, Range=f"0-{max(len(held) - 1, 0)}")
        while left and (piece := self.rfile.read(min(left, 65536))):
            held += piece
            left -= len(piece)
        if left:
            self.close_connection = True
            return True
        if self.command == "PATCH":
            return self.answer(202, Range=f"0-{len(held) - 1}", Location=self.url.path)
        return self._close_upload(name, bytes(sessions.pop(name)))

    def _close_upload(self, name: str, data: bytes) -> bool:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest != self.query["digest"]:
            body = {"errors": [{"code": "DIGEST_INVALID", "message": "not the digest"}]}
            return self.answer(400, json.dumps(body).encode())
        self.registry.blobs[digest] = data
        return self.answer(201, Docker_Content_Digest=digest)


def _subject(data: bytes) -> str | None:
    form = json.loads(data)
    return (form.get("subject") or {}).get("digest") if isinstance(form, dict) else None


def _entry(digest: str, media_type: str, data: bytes) -> dict[str, Any]:
    form = json.loads(data)
    kind = form.get("artifactType") or form.get("config", {}).get("mediaType")
    entry = {"mediaType": media_type, "digest": digest, "size": len(data), "artifactType": kind}
    return entry | ({"annotations": form["annotations"]} if form.get("annotations") else {})
