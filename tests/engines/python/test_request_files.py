"""Files in a request and in an answer."""

import base64
import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from mealkit.engines.python.config import FileLimits
from mealkit.engines.python.request_files import MAX_FILES, RequestFiles, answer_file
from mealkit.errors import MealkitError


@pytest.fixture
def files():
    """Files of which all together may have ten bytes, and none may be fetched."""
    with closing(RequestFiles(limits(10))) as found:
        yield found


def limits(max_bytes):
    return FileLimits((), fetch_private=False, fetch_seconds=5, max_file_bytes=max_bytes)


def refused(call, *arguments):
    with pytest.raises(MealkitError) as caught:
        call(*arguments)
    return caught.value.problems[0].code


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("text", "data", "suffix"),
    [
        (encoded(b"0123456789"), b"0123456789", ""),
        ("", b"", ""),
        ("data:,a%20b", b"a b", ".txt"),
        ("DATA:image/png;base64," + encoded(b"png"), b"png", ".png"),
        ("data:text/plain;charset=utf-8; BASE64," + encoded(b"x"), b"x", ".txt"),
        ("data:no/such;base64," + encoded(b"x"), b"x", ""),
        ("data:,%zz%41", b"%zzA", ".txt"),
        ("data:,a,b", b"a,b", ".txt"),
        ("data:image/webp,a", b"a", ".webp"),
        ("data:audio/wav,a", b"a", ".wav"),
        ("data:audio/webm;codecs=opus,a", b"a", ".webm"),
        ("data:audio/ogg,a", b"a", ".ogg"),
        ("data:audio/mp4,a", b"a", ".m4a"),
        ("data:image/jpg,a", b"a", ".jpg"),
    ],
)
def test_a_text_stands_for_bytes(files, text, data, suffix):
    """Base64 and data: URLs are read, and the type names the file's ending."""
    path = files.take(text, "input.x")
    assert (path.read_bytes(), path.suffix) == (data, suffix)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("data:text/plain", "REQUEST_INVALID"),
        ("not base64!", "REQUEST_INVALID"),
        ("YQ", "REQUEST_INVALID"),
        ("é", "REQUEST_INVALID"),
        ("data:;base64,*", "REQUEST_INVALID"),
        (encoded(b"01234567890"), "REQUEST_TOO_LARGE"),
        ("A" * 1000, "REQUEST_TOO_LARGE"),
        ("data:,01234567890", "REQUEST_TOO_LARGE"),
        ("data:," + "%30" * 11, "REQUEST_TOO_LARGE"),
        ("data:," + "x" * 1000, "REQUEST_TOO_LARGE"),
        ("http://127.0.0.1/x", "REQUEST_UNSUPPORTED"),
        ("HTTPS://127.0.0.1/x", "REQUEST_UNSUPPORTED"),
    ],
)
def test_what_is_no_file_is_refused(files, text, code):
    """The limit is on bytes, and no address is asked unless the kit allows it."""
    assert refused(files.take, text, "input.x") == code


def test_all_files_share_the_limit(files):
    """What one has taken, the next has not."""
    files.take(encoded(b"0123456"), "a")
    assert refused(files.take, encoded(b"0123"), "b") == "REQUEST_TOO_LARGE"
    assert files.take(encoded(b"012"), "c").read_bytes() == b"012"


def test_as_many_files_as_there_may_be(files):
    """Empty ones count too, and no two have one name."""
    paths = {files.take("", "x") for _ in range(MAX_FILES)}
    assert len(paths) == MAX_FILES
    assert refused(files.take, "", "x") == "REQUEST_TOO_LARGE"


def test_files_are_gone_when_their_request_is(files):
    """Closing twice is closing once."""
    path = files.take("", "x")
    files.close()
    files.close()
    assert not path.parent.exists()


def test_an_answers_file_is_a_data_url(files, tmp_path):
    """Its type is its name's; in the temporary folder it is deleted with its request."""
    with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as written:
        written.write(b"png")
    path = Path(written.name)
    for _ in range(2):
        assert answer_file(path, 3) == "data:image/png;base64," + encoded(b"png")
        files.give(path)
    assert path.exists()
    files.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.webp", "image/webp"),
        ("a.wav", "audio/wav"),
        ("a.flac", "audio/flac"),
        ("a.jpg", "image/jpeg"),
        ("a.mp3", "audio/mpeg"),
        ("a.webm", "video/webm"),
        ("a.glb", "model/gltf-binary"),
        ("a.tar.gz", "application/gzip"),
        ("a.csv.xz", "application/x-xz"),
        ("a.csv.br", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_an_answers_type_is_that_of_its_name(tmp_path, name, media_type):
    """Whatever the version of Python knows; a compressed file is not what it contains."""
    (tmp_path / name).write_bytes(b"a")
    assert answer_file(tmp_path / name, 1) == f"data:{media_type};base64,YQ=="


def test_a_long_stream_keeps_only_its_last_files(files):
    """A stream of pictures does not fill the disk."""
    folder = Path(tempfile.mkdtemp())
    paths = [folder / f"{number}.png" for number in range(MAX_FILES + 2)]
    for path in paths:
        path.write_bytes(b"png")
        files.give(path)
        files.end_piece()
    assert [path.exists() for path in paths] == [False] * 2 + [True] * MAX_FILES
    files.close()
    assert list(folder.iterdir()) == []
    folder.rmdir()


@pytest.mark.parametrize("make", ["missing", "folder", "large", "pipe"])
def test_an_answer_that_is_no_file_is_the_codes_fault(tmp_path, make):
    """It is said, and nothing waits for a pipe."""
    path = tmp_path / "x"
    match make:
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"1234")
        case "pipe":
            os.mkfifo(path)
    assert refused(answer_file, path, 3) == "ENGINE_ANSWER"
