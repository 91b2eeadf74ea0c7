"""Registries on loopback: the real docker-registry, its token server, and one full of quirks."""

import base64
import contextlib
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
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fakes.quirky_registry import QuirkyRegistry, Server
from fakes.served import free_port, need, settled

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
        found = re.findall(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+)', settled(self.folder / "log"))
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

        self.server = Server(("127.0.0.1", 0), Handler)
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
