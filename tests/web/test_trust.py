"""A company's own certificate authority: every client trusts what the system and pip trust."""

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mealkit.web.trust import shared_context, untrusted_words, uv_variables

CLIENTS = ("hub", "uv", "registry", "mirror", "file", "range")

# Asks the server with every client; prints what each one got, or its problem.
ASK = """
import json, sys
from pathlib import Path
from mealkit.errors import MealkitError
from mealkit.lock.kit_parts import PythonTarget
from mealkit.oci.reference import Reference
from mealkit.sources.debian.mirror_client import MirrorFetch
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.sources.hub_api import ask_repository
from mealkit.sources.ranges import HttpRanges
from mealkit.sources.uv_tool import Question, ask_uv
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.reaching import Registries
from mealkit.web.http_client import open_client

host, folder = sys.argv[1:]
url = f"https://{host}"

def registry():
    with Registries.from_environment() as registries:
        RemoteImages(registries).image(Reference(host, "kit", "1"))

def file():
    with open_client() as client:
        Downloader(FileCache(Path(folder)), client).fetch(f"{url}/file")

def range_():
    with open_client() as client:
        HttpRanges(client, f"{url}/file", {}).read(0, 4)

def mirror():
    with MirrorFetch() as fetch:
        assert fetch(f"{url}/file", 100) == b"bytes"

found = {}
for name, ask in {
    "hub": lambda: ask_repository(url, "a/b", "main"),
    "uv": lambda: ask_uv(Question(["tiny"], PythonTarget("3.13", "amd64", "2.41"))),
    "registry": registry, "mirror": mirror, "file": file, "range": range_,
}.items():
    try:
        ask()
        found[name] = ["", "", ""]
    except MealkitError as error:
        found[name] = [getattr(error.problems[0], field) for field in ("code", "message", "hint")]
print(json.dumps(found))
"""


class _Company(BaseHTTPRequestHandler):
    """A server that has what each client asks for, but no image."""

    def do_GET(self) -> None:
        host = self.headers["Host"]
        wheel = {"filename": "tiny-1-py3-none-any.whl", "url": f"https://{host}/tiny-1.whl"}
        answers = {
            "/file": b"bytes",
            "/v2/": b"{}",
            "/api/models/a/b/revision/main": json.dumps({"id": "a/b", "siblings": []}).encode(),
            "/simple/tiny/": json.dumps(
                {
                    "meta": {"api-version": "1.1"},
                    "name": "tiny",
                    "files": [wheel | {"hashes": {"sha256": "0" * 64}, "core-metadata": True}],
                }
            ).encode(),
            "/tiny-1.whl.metadata": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1\n",
        }
        path = self.path.partition("?")[0]
        body = answers.get(path, b"")
        self.send_response(200 if path in answers else 404)
        if path.startswith("/simple"):
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an authority as companies make it: without a key usage and a key identifier."""
    folder = tmp_path_factory.mktemp("company")
    (folder / "v3").write_text(
        "[v3]\nbasicConstraints=CA:TRUE\n[leaf]\nsubjectAltName=IP:127.0.0.1\n"
    )
    (folder / "store").mkdir()
    authority, key = folder / "store" / "ca-certificates.crt", folder / "ca.key"
    new = "openssl req -newkey rsa:2048 -nodes -subj /CN=company"
    sign = f"openssl x509 -req -days 2 -extfile {folder}/v3"
    by = f"-CA {authority} -CAkey {key} -CAcreateserial"
    for command in (
        f"{new} -keyout {key} -out {folder}/ca.csr",
        f"{sign} -extensions v3 -in {folder}/ca.csr -signkey {key} -out {authority}",
        f"{new} -keyout {folder}/leaf.key -out {folder}/leaf.csr",
        f"{sign} -extensions leaf {by} -in {folder}/leaf.csr -out {folder}/leaf.crt",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    shown = ["openssl", "x509", "-hash", "-noout", "-in", str(authority)]
    name = subprocess.run(shown, check=True, capture_output=True, text=True).stdout.strip()
    (folder / "store" / f"{name}.0").symlink_to(authority.name)
    return folder


@pytest.fixture(scope="module")
def host(company: Path) -> Iterator[str]:
    """The address of a server whose certificate that authority has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(company / "leaf.crt", company / "leaf.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Company) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def asked(
    host: str, folder: Path, variables: Mapping[str, str], before: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    """Ask with every client, in a process with these variables and the system's store."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "UV_DEFAULT_INDEX": f"https://{host}/simple",
        "UV_CACHE_DIR": str(folder / "uv"),
        **variables,
    }
    done = subprocess.run(
        [*before, sys.executable, "-c", ASK, host, str(folder / "files")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(CLIENTS)
    return dict(found)


def codes(found: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: code for name, (code, _, _) in found.items() if code}


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("SSL_CERT_FILE", "store/ca-certificates.crt"),
        ("SSL_CERT_DIR", "store"),
        ("REQUESTS_CA_BUNDLE", "store/ca-certificates.crt"),
        ("CURL_CA_BUNDLE", "store"),
    ],
)
def test_every_client_trusts_what_a_variable_names(
    company: Path, host: str, tmp_path: Path, variable: str, path: str
) -> None:
    """A file or a folder; the registry alone lacks what it is asked for."""
    found = asked(host, tmp_path, {variable: str(company / path)})
    assert codes(found) == {"registry": "IMAGE_NOT_FOUND"}


def test_every_client_trusts_the_systems_store(company: Path, host: str, tmp_path: Path) -> None:
    """No variable is needed where an administrator has added the authority."""
    stores = {"/etc/ssl/certs", ssl.get_default_verify_paths().openssl_capath}
    mounts = " && ".join(f'mount --bind "$0" {path}' for path in stores if Path(path).is_dir())
    script = f'{mounts} && exec "$@"'
    own = ("unshare", "--map-root-user", "--mount", "sh", "-c", script, str(company / "store"))
    if subprocess.run([*own, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no mount namespace can be made here")
    found = asked(host, tmp_path, {}, own)
    assert codes(found) == {"registry": "IMAGE_NOT_FOUND"}


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9"])
def test_no_proxy_is_asked_for_this_machine(
    company: Path, host: str, tmp_path: Path, proxy: str
) -> None:
    """A proxy that is not there, as of a desktop behind ssh -D, does not matter on loopback."""
    variables = {"ALL_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "elsewhere.invalid"}
    found = asked(host, tmp_path, variables | {"SSL_CERT_DIR": str(company / "store")})
    assert codes(found) == {"registry": "IMAGE_NOT_FOUND"}


def test_an_unknown_authority_has_its_own_words(host: str, tmp_path: Path) -> None:
    """Every client's problem says what is not trusted, and which variable would help."""
    found = asked(host, tmp_path, {})
    for name, (code, message, hint) in found.items():
        assert code == ("REGISTRY_UNREACHABLE" if name == "registry" else "SOURCE_UNREACHABLE")
        assert "certificate is not trusted" in message
        assert "SSL_CERT_FILE" in hint


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("certificate verify failed: self-signed certificate (_ssl.c:1006)", "SSL_CERT_FILE"),
        ("certificate verify failed: IP address mismatch, certificate is", "use a name"),
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "clock"),
        ("cause: invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("cause: invalid peer certificate: certificate not valid for name", "use a name"),
    ],
)
def test_the_hint_fits_the_fault(monkeypatch: pytest.MonkeyPatch, reason: str, words: str) -> None:
    """An authority that is not known, another name, and another time."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    found = untrusted_words(reason)
    assert found is not None
    assert words in found[1]
    assert untrusted_words("Connection refused") is None


def test_a_variable_that_names_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is missing, so no other authority would help."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/company.pem")
    found = untrusted_words("invalid peer certificate: UnknownIssuer")
    assert found is not None
    assert found[1] == "correct SSL_CERT_FILE, or unset it: /nowhere/company.pem does not exist"


@pytest.mark.parametrize(
    ("environment", "added"),
    [
        ({"UV_SYSTEM_CERTS": "false"}, {}),
        ({"UV_NATIVE_TLS": "0"}, {}),
        ({"SSL_CERT_FILE": "/a"}, {"UV_SYSTEM_CERTS": "true"}),
        ({"SSL_CERT_FILE": "/a", "REQUESTS_CA_BUNDLE": "/b"}, {"UV_SYSTEM_CERTS": "true"}),
        ({"UV_NATIVE_TLS": "0", "REQUESTS_CA_BUNDLE": "/b"}, {"SSL_CERT_FILE": "/b"}),
        ({"UV_NATIVE_TLS": "0", "REQUESTS_CA_BUNDLE": "/"}, {"SSL_CERT_DIR": "/"}),
    ],
)
def test_users_settings_of_uv_win(environment: dict[str, str], added: dict[str, str]) -> None:
    """uv is told nothing that its user has told it."""
    assert uv_variables(environment) == added


def test_the_store_is_read_once_for_the_same_variables(company, monkeypatch):
    """Clients share a context; another store is another context."""
    found = shared_context()
    assert shared_context() is found
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(company / "store" / "ca-certificates.crt"))
        other = shared_context()
    assert [item["subject"][0][0][1] for item in other.get_ca_certs()] == ["company"]
    assert shared_context() is found
