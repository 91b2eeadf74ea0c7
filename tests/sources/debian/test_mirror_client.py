"""The files of a mirror are read from http or a folder, and what goes wrong is told apart."""

import socket
import threading

import pytest

from mealkit.errors import SourceError
from mealkit.sources.debian.mirror_client import MirrorFetch


@pytest.fixture
def fetch():
    with MirrorFetch() as opened:
        yield opened


@pytest.fixture
def code(fetch):
    """Return the code of the problem that an address gives."""

    def ask(url: str, limit_bytes: int = 100) -> str:
        with pytest.raises(SourceError) as caught:
            fetch(url, limit_bytes)
        assert "secret" not in str(caught.value.problems)
        return caught.value.problems[0].code

    return ask


def test_bytes_are_read_from_http_and_folders(fetch, mirror):
    """A file is read whole up to the limit, its path is unquoted, a missing one is None."""
    (mirror.root / "a b").write_bytes(b"12345")
    for base in (mirror.url, f"file://{mirror.root}"):
        assert fetch(f"{base}/a%20b", 5) == b"12345"
        assert fetch(f"{base}/none", 5) is None
        assert fetch(f"{base}/a%20b/none", 5) is None


def test_more_than_the_limit_is_refused(code, mirror):
    """A file that is longer than it should be is not read to its end."""
    (mirror.root / "long").write_bytes(b"123456")
    assert code(f"{mirror.url}/long", 5) == "SOURCE_ANSWER"
    assert code(f"file://{mirror.root}/long", 5) == "SOURCE_ANSWER"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "SOURCE_DENIED"),
        (403, "SOURCE_DENIED"),
        (500, "SOURCE_UNREACHABLE"),
        (418, "SOURCE_ANSWER"),
    ],
)
def test_statuses_are_told_apart(code, mirror, status, expected):
    """Refused credentials are the caller's to mend, a broken mirror is upstream's."""
    assert code(f"{mirror.url.replace('//', '//user:secret@')}/status/{status}") == expected


def test_redirect_loop_is_named(code, mirror):
    """A mirror that redirects without end is told apart from one that is down."""
    assert code(f"{mirror.url}/loop/") == "SOURCE_REDIRECTS"


def test_nobody_there_is_unreachable(code):
    """A closed port and a name that does not exist are unreachable."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert code(f"http://user:secret@127.0.0.1:{port}/x") == "SOURCE_UNREACHABLE"
    assert code("http://user:secret@nobody.invalid/x") == "SOURCE_UNREACHABLE"


def test_unreadable_folder_is_unreachable(code, tmp_path):
    """A path that is no file is a problem of the machine, not a missing file."""
    assert code(f"file://{tmp_path}") == "SOURCE_UNREACHABLE"


def test_cut_answer_is_unreachable(code):
    """A connection that ends before the promised length is not a short file."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf")

        thread = threading.Thread(target=answer)
        thread.start()
        assert code(f"http://127.0.0.1:{server.getsockname()[1]}/x") == "SOURCE_UNREACHABLE"
        thread.join()
