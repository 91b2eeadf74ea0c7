"""Registries on loopback: the real docker-registry, its token server, and one full of quirks."""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes.served import free_port, need

from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER, LAYER_GZIP
from mealkit.oci.image import BytesBlob, Layer, image_of
from mealkit.stores.registry.credentials import Credentials
from mealkit.stores.registry.reaching import Registries
from mealkit.web.retry import Retry

USER, PASSWORD = "cook", "not-a-real-secret"
# htpasswd's bcrypt line for the two above.
HTPASSWD = "cook:$2y$04$BFAaN3y712mftLrCVa.HDecL99NJe.w5IR7nidGJ/RyOysR2abqc.\n"


class RegistryProcess:
    """The docker-registry program with its own folder; it can be killed and started again."""

    def __init__(self, folder: Path, auth: dict | None = None, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None
        self.configure(auth)

    def configure(self, auth: dict | None = None, tls: dict | None = None) -> None:
        config = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": True},
            },
            # The same secret after a restart, so that upload sessions stay good.
            "http": {"addr": self.host, "secret": "test", **({"tls": tls} if tls else {})},
            **({"auth": auth} if auth else {}),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yml").write_text(json.dumps(config))

    def start(self) -> "RegistryProcess":
        program = need("docker-registry")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "serve", str(self.folder / "config.yml")],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def blob_path(self, digest: Digest) -> Path:
        blobs = self.folder / "data/docker/registry/v2/blobs/sha256"
        return blobs / digest.hex[:2] / digest.hex / "data"

    def requests(self) -> list[tuple[str, str, int]]:
        """All requests so far: method, path, status (from the access log)."""
        found = re.findall(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+)', (self.folder / "log").read_text())
        return [(method, path, int(status)) for method, path, status in found]


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """An open registry."""
    server = RegistryProcess(tmp_path_factory.mktemp("registry")).start()
    yield server
    server.kill()


@pytest.fixture
def mortal_registry(tmp_path):
    """An open registry of one test, which may kill it."""
    server = RegistryProcess(tmp_path / "mortal").start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def registry_with_password(tmp_path_factory):
    """A registry that wants Basic credentials."""
    folder = tmp_path_factory.mktemp("with-password")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    server = RegistryProcess(folder, auth).start()
    yield server
    server.kill()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing: clients that go away in the middle are what the tests are about."""


class TokenServer:
    """Gives docker-registry's tokens (JWT, RS256, signed by openssl) and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        command = f"{need('openssl')} req -x509 -newkey rsa:2048 -nodes -subj /CN=test -days 2"
        files = ["-keyout", self.key, "-out", self.certificate]
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
        self.asked: list[dict] = []
        self.is_anonymous_allowed = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                self._give(query, self.headers.get("Authorization"))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = urllib.parse.parse_qs(body)
                known = f"identity {form['refresh_token'][0]}"
                scopes = [one for text in form.get("scope", []) for one in text.split()]
                self._give({**form, "scope": scopes}, known)

            def _give(self, query, authorization):
                outer.asked.append({**query, "authorization": authorization})
                basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                is_known = authorization in {f"Basic {basic}", f"identity {PASSWORD}"}
                wants_more = authorization is not None or not outer.is_anonymous_allowed
                status = 401 if wants_more and not is_known else 200
                body = json.dumps(
                    {"token": outer.token(query, authorization)} if status == 200 else {}
                ).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def token(self, query: dict, authorization: str | None) -> str:
        """Grant what is asked for; to the anonymous, only reading."""
        der = base64.b64encode(_der(self.certificate.read_text())).decode()
        access = [
            {
                "type": kind,
                "name": name,
                "actions": actions.split(",") if authorization else ["pull"],
            }
            for kind, name, actions in (scope.split(":") for scope in query.get("scope", []))
        ]
        now = int(time.time())
        claims = {
            "iss": "test-issuer",
            "sub": "",
            "aud": query["service"][0],
            "jti": os.urandom(8).hex(),
        }
        claims |= {"exp": now + 300, "nbf": now - 10, "iat": now, "access": access}
        head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        signed = b".".join(_part(json.dumps(item).encode()) for item in (head, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", self.key]
        signature = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
        return (signed + b"." + _part(signature)).decode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))


@pytest.fixture(scope="session")
def token_server(tmp_path_factory):
    server = TokenServer(tmp_path_factory.mktemp("tokens"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def registry_with_tokens(tmp_path_factory, token_server):
    """A registry that wants tokens of the token server."""
    token = {"realm": token_server.realm, "service": "test-service", "issuer": "test-issuer"}
    auth = {"token": token | {"rootcertbundle": str(token_server.certificate)}}
    server = RegistryProcess(tmp_path_factory.mktemp("with-tokens"), auth).start()
    yield server
    server.kill()


class QuirkyRegistry:
    """A small correct registry in memory, with a place to misbehave before each request.

    ``quirks`` are called with the request's handler; one that answers by itself returns True.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.sessions: dict[str, bytearray] = {}
        self.quirks: list = []
        self.seen: list[tuple[str, str, dict]] = []
        outer = self

        class Handler(_RegistryHandler):
            registry = outer

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def count(self, method: str, part: str) -> int:
        return sum(1 for seen, path, _ in self.seen if seen == method and part in path)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _RegistryHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: QuirkyRegistry

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def reset(self):
        """End the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        return True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, *_):
        pass

    def _serve(self):
        self.url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(self.url.query))
        self.registry.seen.append((self.command, self.path, dict(self.headers)))
        try:
            if any(quirk(self) for quirk in list(self.registry.quirks)):
                return
            getattr(self, f"_{self._kind()}")()
        except (BrokenPipeError, ConnectionResetError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815

    def _kind(self) -> str:
        for kind in ("uploads", "blobs", "manifests"):
            if f"/{kind}/" in self.url.path:
                return kind
        return "root"

    def _root(self):
        self.answer(200, b"{}")

    def _blobs(self):
        data = self.registry.blobs.get(self.url.path.rpartition("/")[2])
        if data is None:
            self.answer(404)
        elif found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, end = int(found[1]), min(int(found[2]) + 1, len(data))
            span = f"bytes {start}-{end - 1}/{len(data)}"
            self.answer(206, data[start:end], Content_Range=span)
        else:
            self.answer(200, data)

    def _manifests(self):
        name = self.url.path.rpartition("/")[2]
        if self.command == "PUT":
            data = self.body()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.registry.manifests[name] = (self.headers["Content-Type"], data)
            self.registry.manifests[digest] = self.registry.manifests[name]
            self.answer(201, Docker_Content_Digest=digest)
        elif name in self.registry.manifests:
            media_type, data = self.registry.manifests[name]
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.answer(200, data, Content_Type=media_type, Docker_Content_Digest=digest)
        else:
            self.answer(404)

    def _uploads(self):
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

    def _close_upload(self, name, data):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest != self.query["digest"]:
            body = {"errors": [{"code": "DIGEST_INVALID", "message": "not the digest"}]}
            return self.answer(400, json.dumps(body).encode())
        self.registry.blobs[digest] = data
        return self.answer(201, Docker_Content_Digest=digest)


@pytest.fixture
def quirky():
    server = QuirkyRegistry()
    yield server
    server.close()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the clients would have waited; they do not."""
    return []


@pytest.fixture
def make_registries(waits, tmp_path):
    """Make registries with the credentials of a docker config, and no waiting."""
    made = []

    def make(auths: dict | None = None, mirrors: dict | None = None, **others) -> Registries:
        config = tmp_path / "docker" / "config.json"
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps({"auths": auths or {}}))
        retry = Retry(attempts=4, sleep=waits.append)
        made.append(Registries(Credentials((config,)), mirrors, retry=retry, **others))
        return made[-1]

    yield make
    for registries in made:
        registries.close()


@pytest.fixture
def registries(make_registries) -> Registries:
    """Registries without credentials."""
    return make_registries()


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def make_image():
    """Make an image of layers, each given as files, or as tar bytes, or as a blob."""

    def make(*contents, config: dict | None = None, gzipped: bool = False):
        import gzip  # noqa: PLC0415

        layers = []
        for content in contents:
            data = tar_of(content) if isinstance(content, dict) else content
            if isinstance(data, bytes):
                blob = BytesBlob(gzip.compress(data) if gzipped else data)
                diff_id = Digest.of(data)
            else:
                blob, diff_id = data, data.digest
            kind = LAYER_GZIP if gzipped else LAYER
            layers.append(Layer(kind, blob, diff_id, f"layer {len(layers)}"))
        form = {"os": "linux", "architecture": "amd64", "config": config or {}}
        return image_of(form, tuple(layers), {"org.example": "kept"})

    return make


@pytest.fixture(scope="session")
def static_program(tmp_path_factory) -> bytes:
    """A static program that prints /greeting."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "hello.c").write_text(
        '#include <stdio.h>\nint main(void){char b[256];FILE*f=fopen("/greeting","r");'
        "if(f&&fgets(b,256,f))puts(b);return !f;}\n"
    )
    command = [need("gcc"), "-static", "-Os", "-o", folder / "hello", folder / "hello.c"]
    subprocess.run(command, check=True)
    return (folder / "hello").read_bytes()
