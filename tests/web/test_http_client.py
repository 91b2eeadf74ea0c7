"""Credentials and addresses: each goes where it belongs, and nowhere else."""

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from mealkit.errors import MealkitError, SourceError
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.web.http_client import bare_url, check_redirect, is_private_path, open_client


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login reader password secret\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize(
    ("user", "headers", "expected"),
    [
        ("", {}, basic("reader", "secret")),
        ("", {"Authorization": "Bearer token"}, "Bearer token"),
        ("other:word@", {}, basic("other", "word")),
    ],
)
def test_the_nearest_credentials_are_used(
    hub: Any, cache: FileCache, user: str, headers: dict[str, str], expected: str
) -> None:
    """A token given for the request comes before the address, the address before netrc."""
    hub.add("file", b"data")
    with open_client() as client:
        url = f"http://{user}{hub.url.removeprefix('http://')}/plain/file"
        Downloader(cache, client).fetch(url, headers=headers)
    assert hub.seen[0].headers["Authorization"] == expected


def test_messages_bear_no_secrets() -> None:
    """Users, passwords and signed queries are left out of what is printed."""
    url = "https://user:secret@files.example.invalid:8443/a/b?signature=secret#part"
    assert bare_url(url) == "https://files.example.invalid:8443/a/b"


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://files.example.invalid/a", True),
        ("http://127.0.0.1:80/a", True),
        ("http://127.8.9.1/a", True),
        ("http://[::1]:80/a", True),
        ("http://localhost/a", True),
        ("http://localhost.example.invalid/a", False),
        ("http://127.0.0.1.example.invalid/a", False),
        ("http://192.0.2.1/a", False),
        ("http://127.0.0.1@files.example.invalid/a", False),
    ],
)
def test_only_https_and_loopback_are_private(url: str, private: bool) -> None:
    """A name that merely begins like loopback is not loopback."""
    assert is_private_path(url) is private


def test_a_default_of_netrc_goes_to_nobody(
    hub: Any, cache: FileCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of a stranger's kit is not a machine that the user named."""
    path = tmp_path / "netrc"
    path.write_text(
        "machine files.example.invalid login a password b\ndefault login c password d\n"
    )
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    hub.add("file", b"data")
    with open_client() as client:
        Downloader(cache, client).fetch(f"{hub.url}/plain/file")
    assert "Authorization" not in hub.seen[0].headers


def _client(answer: Any) -> httpx2.Client:
    """The client of sources, with another network."""
    return httpx2.Client(
        transport=httpx2.MockTransport(answer),
        follow_redirects=True,
        event_hooks={"response": [check_redirect]},
    )


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://files.example.invalid/b", "SOURCE_INSECURE"),
        ("http://127.0.0.1/b", "SOURCE_INSECURE"),
        ("https://127.0.0.1/b", "SOURCE_REDIRECTS"),
        ("https://169.254.169.254/latest/meta-data", "SOURCE_REDIRECTS"),
        ("//localhost/b", "SOURCE_REDIRECTS"),
        ("file:///etc/passwd", "SOURCE_ANSWER"),
        ("https://a.localhost/b", "SOURCE_REDIRECTS"),
    ],
)
def test_a_redirect_off_tls_or_into_the_local_network_is_not_followed(
    location: str, code: str
) -> None:
    """Nothing is asked of the address that it leads to."""
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(302, headers={"Location": location})

    with _client(answer) as client, pytest.raises(SourceError) as caught:
        client.get("https://files.example.invalid/a?signature=secret")
    assert caught.value.problems[0].code == code
    assert "secret" not in str(caught.value.problems[0])
    assert seen == ["https://files.example.invalid/a?signature=secret"]


def test_a_redirect_with_a_body_without_end_ends() -> None:
    """The client reads what comes with a redirect."""

    def forever() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"Location": "/b"}, content=forever())

    with _client(answer) as client, pytest.raises(httpx2.DecodingError):
        client.get("https://files.example.invalid/a")


def test_a_server_on_this_machine_leads_to_no_metadata(hub: Any, cache: FileCache) -> None:
    """Over the real client."""
    hub.add("file", b"data")
    hub.fault("file", location="http://169.254.169.254/latest/meta-data")
    with open_client() as client, pytest.raises(SourceError) as caught:
        Downloader(cache, client).fetch(f"{hub.url}/plain/file")
    assert caught.value.problems[0].code == "SOURCE_REDIRECTS"


def serve_socks(listener: socket.socket, target: tuple[str, int]) -> bytes:
    """Answer one connection as a SOCKS5 proxy (RFC 1928) that knows one server; return its name."""
    peer, _ = listener.accept()
    with peer, socket.create_connection(target) as server:
        peer.recv(100)
        peer.sendall(b"\x05\x00")
        head = peer.recv(5)
        name = peer.recv(head[4] + 2)[:-2]
        peer.sendall(b"\x05\x00\x00\x01" + bytes(6))
        server.sendall(peer.recv(65536))
        while data := server.recv(65536):
            peer.sendall(data)
    return name


def test_a_socks_proxy_is_used(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It resolves the name, and only for servers that are not on this machine."""
    hub.add("a.json", b"{}")
    place = urlsplit(hub.url)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        address = f"socks5h://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("ALL_PROXY", address)
        asked = pool.submit(serve_socks, listener, (str(place.hostname), int(place.port or 0)))
        with open_client() as client:
            assert client.get(f"{hub.url}/example/model/resolve/main/a.json").status_code == 200
            url = "http://files.invalid/example/model/resolve/main/a.json"
            answer = client.get(url, headers={"Connection": "close"})
        assert (answer.status_code, asked.result()) == (200, b"files.invalid")


def test_every_loopback_address_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry may listen on another address of this machine than the first."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with socket.create_server(("127.0.0.2", 0)) as listener, ThreadPoolExecutor(1) as pool:
        port = listener.getsockname()[1]

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        served = pool.submit(serve)
        with open_client() as client:
            assert client.get(f"http://127.0.0.2:{port}/").status_code == 200
        served.result()


@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:1", "ftp://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names the variables and the kinds of proxies."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(MealkitError) as caught:
        open_client()
    (problem,) = caught.value.problems
    assert (problem.code, problem.owner.value) == ("SOURCE_UNREACHABLE", "platform")
    assert "ALL_PROXY" in problem.hint


@pytest.mark.parametrize("host", ["a..invalid", "a" * 70 + ".invalid"])
def test_a_host_that_cannot_be_looked_up_cannot_be_reached(host: str) -> None:
    """Registries and servers may name any host when they redirect."""
    with open_client() as client, pytest.raises(httpx2.ConnectError, match="host's name"):
        client.get(f"https://{host}/")
