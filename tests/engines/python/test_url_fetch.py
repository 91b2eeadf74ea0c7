"""Files by address: only from allowed places, over addresses that were checked, in size and time."""

import os
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mealkit.addresses import AddressScope, scope_of
from mealkit.engines.python.config import FileLimits
from mealkit.engines.python.url_fetch import fetch, is_allowed
from mealkit.errors import MealkitError


class _Handler(BaseHTTPRequestHandler):
    """Answers by path: what ``pages`` of its server says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        self.server.pages[self.path.partition("?")[0]](self)

    def log_message(self, *_):
        """Say nothing."""


def page(body, media_type="text/plain", status=200, **headers):
    def send(handler):
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        if "Content-Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def redirect(location):
    return page(b"", status=302, Location=location)


@contextmanager
def serving(pages, context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.pages, server.seen = pages, []
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    scheme = "https" if context else "http"
    server.url = f"{scheme}://localhost:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pages():
    return {}


@pytest.fixture
def server(pages):
    with serving(pages) as running:
        yield running


def get(url, *allowed, private=True, max_bytes=1000, seconds=30.0):
    limits = FileLimits(allowed, private, 30, max_bytes)
    return fetch(url, limits, max_bytes, time.monotonic() + seconds, "input.file")


def refused(*given, **options):
    with pytest.raises(MealkitError) as caught:
        get(*given, **options)
    (problem,) = caught.value.problems
    assert problem.where == "input.file"
    return problem


def test_a_file_of_an_allowed_folder_is_fetched(server, pages):
    """With its media type, and nothing of this machine in the request."""
    pages["/files/a.txt"] = page(b"soup", "text/plain; charset=utf-8")
    found = get(f"{server.url}/files/a.txt?x=1#frag", f"{server.url}/files/")
    assert (found.data, found.path, found.media_type) == (b"soup", "/files/a.txt", "text/plain")
    ((path, headers),) = server.seen
    assert path == "/files/a.txt?x=1"
    assert headers["User-Agent"] == "mealkit"
    assert headers["Host"] == server.url.removeprefix("http://")


def test_nothing_is_asked_of_a_place_that_is_not_allowed(server):
    """Not even whether it is there."""
    problem = refused(f"{server.url}/secret", f"{server.url}/files/")
    assert problem.code == "REQUEST_UNSUPPORTED"
    assert f"{server.url}/files/" in problem.hint
    assert refused(f"{server.url}/x").code == "REQUEST_UNSUPPORTED"
    assert server.seen == []


def test_a_place_that_is_not_public_needs_its_own_permission(server):
    """The name may be allowed; where it leads to is checked too."""
    problem = refused(f"{server.url}/x", f"{server.url}/", private=False)
    assert problem.code == "REQUEST_UNSUPPORTED"
    assert "not public" in problem.message
    assert server.seen == []


def test_redirects_are_checked_like_the_first_address(server, pages):
    """Within the allowed folder they are followed, out of it they are not."""
    pages |= {
        "/files/a": redirect("b"),
        "/files/b": redirect(f"{server.url}/files/c"),
        "/files/c": page(b"soup"),
        "/files/out": redirect("/secret"),
        "/files/up": redirect("../secret"),
        "/files/file": redirect("file:///etc/passwd"),
        "/files/nowhere": redirect(""),
        "/secret": page(b"hush"),
    }
    allowed = f"{server.url}/files/"
    assert get(f"{allowed}a", allowed).data == b"soup"
    for name in ("out", "up"):
        assert refused(f"{allowed}{name}", allowed).code == "REQUEST_UNSUPPORTED"
    assert refused(f"{allowed}file", allowed).code == "REQUEST_INVALID"
    assert "more than 5 times" in refused(f"{allowed}nowhere", allowed).message
    assert all(path != "/secret" for path, _ in server.seen)


def test_a_file_that_is_too_large_is_left(server, pages):
    """Whatever its length says, and also if it says none."""
    pages["/a"] = page(b"x" * 1001)
    pages["/exact"] = page(b"x" * 1000)

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 4096)
        except OSError:
            handler.close_connection = True

    pages["/endless"] = endless
    for name in ("/a", "/endless"):
        assert refused(server.url + name, f"{server.url}/").code == "REQUEST_TOO_LARGE"
    assert len(get(f"{server.url}/exact", f"{server.url}/").data) == 1000


def test_what_cannot_be_had_is_said(server, pages):
    """A status, a body that is cut short, a host that is not there."""
    pages["/gone"] = page(b"", status=404)
    pages["/short"] = page(b"so", **{"Content-Length": "9", "Connection": "close"})
    allowed = f"{server.url}/"
    assert "answered 404" in refused(f"{server.url}/gone", allowed).message
    assert "IncompleteRead" in refused(f"{server.url}/short", allowed).message
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/"
        assert "ConnectionRefusedError" in refused(f"{closed}x", closed).message
    assert refused("http://no.such.host.invalid/x", "http://no.such.host.invalid/").code == (
        "REQUEST_INVALID"
    )


def test_a_server_that_dawdles_is_left(server, pages):
    """The time is for all of it: a byte now and then does not make it longer."""
    ends = threading.Event()

    def dawdle(handler):
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not ends.wait(0.01):
                handler.wfile.write(b"X: y\r\n")
        except OSError:
            handler.close_connection = True

    pages["/slow"] = dawdle
    assert "took too long" in refused(f"{server.url}/slow", f"{server.url}/", seconds=0.3).message
    assert refused(f"{server.url}/slow", f"{server.url}/", seconds=-1).code == "REQUEST_INVALID"
    ends.set()


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """A certificate for localhost that this process trusts, without key identifiers, as many are."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-addext", "subjectKeyIdentifier=none", "-addext", "authorityKeyIdentifier=none"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_https_is_verified(authority, pages, monkeypatch):
    """By the name in the address, although the connection goes to the address that was checked."""
    pages["/a"] = page(b"soup")
    with serving(pages, authority) as server:
        assert get(f"{server.url}/a", f"{server.url}/").data == b"soup"
        other = server.url.replace("localhost", "127.0.0.1")
        assert "SSLCertVerificationError" in refused(f"{other}/a", f"{other}/").message
        monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
        assert "SSL" in refused(f"{server.url}/a", f"{server.url}/").message


@pytest.mark.parametrize(
    ("url", "allowed", "expected"),
    [
        ("https://a.invalid/x", "https://a.invalid/", True),
        ("https://A.invalid:443/x", "https://a.invalid/", True),
        ("https://a.invalid./x", "https://a.invalid/", True),
        ("https://a.invalid/b/x", "https://a.invalid/b/", True),
        ("https://a.invalid/b%20c/x", "https://a.invalid/", True),
        ("https://a.invalid/bc/x", "https://a.invalid/b/", False),
        ("https://a.invalid/b", "https://a.invalid/b/", False),
        ("http://a.invalid/x", "https://a.invalid/", False),
        ("https://a.invalid:444/x", "https://a.invalid/", False),
        ("https://a.invalid.b.invalid/x", "https://a.invalid/", False),
        ("https://a.invalid@b.invalid/x", "https://a.invalid/", False),
        ("https://b.invalid/https://a.invalid/", "https://a.invalid/", False),
        ("https://a.invalid/b/../c", "https://a.invalid/b/", False),
        ("https://a.invalid/b/%2e%2e/c", "https://a.invalid/b/", False),
        ("https://a.invalid/b/%252e%252e/c", "https://a.invalid/b/", False),
        ("https://a.invalid/b/..%2fc", "https://a.invalid/b/", False),
        ("https://a.invalid/b/..%5cc", "https://a.invalid/b/", False),
        ("https://a.invalid\\@b.invalid/x", "https://a.invalid/", False),
        ("https://a.invalid /x", "https://a.invalid/", False),
        ("https://a.invalid\n/x", "https://a.invalid/", False),
        ("https://a.invalid:x/x", "https://a.invalid/", False),
        ("https://[::1/x", "https://a.invalid/", False),
        ("https:///x", "https://a.invalid/", False),
        ("ftp://a.invalid/x", "https://a.invalid/", False),
        ("https://\uff41.invalid/x", "https://a.invalid/", False),
    ],
)
def test_an_address_lies_in_an_allowed_folder_or_not(url, allowed, expected):
    """Anything in which two readers could see two places does not."""
    assert is_allowed(url, allowed) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_public_or_not(address, expected):
    """Also one that is written inside another."""
    assert (scope_of(address) is AddressScope.INTERNET) is expected
