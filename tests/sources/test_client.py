"""Credentials and addresses: each goes where it belongs, and nowhere else."""

import base64
from pathlib import Path
from typing import Any

import pytest

from mealkit.sources.cache import FileCache
from mealkit.sources.client import bare_url, is_private_path, open_client
from mealkit.sources.download import Downloader


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
