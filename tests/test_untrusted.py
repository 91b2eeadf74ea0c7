"""Reading with limits."""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.digest import canonical_json
from mealkit.untrusted import UntrustedError, parse_json, parse_json_object, read_file, shown

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_whatever_is_json_is_read_back(value):
    """Whatever can be written as JSON is read back as it was."""
    try:
        data = canonical_json(value)
    except UnicodeEncodeError:
        return
    assert parse_json(data) == value


@given(st.binary())
def test_bytes_are_json_or_refused(data):
    """Arbitrary bytes are JSON or refused by a sentence, never by another error."""
    try:
        parse_json(data)
    except UntrustedError as error:
        told = str(error)
        assert told and told.isprintable()  # noqa: PT018  that it is refused is no promise


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "is too large"),
        (b"9" * 5000, "too many digits"),
        (b'"\\ud800"', "half a surrogate pair"),
        (b"[" * 65 + b"]" * 65, "nests deeper than 64"),
        (b"[" * 1_000_000, "more than 200000 values"),
        (b'{"a":' * 100_000, "nests deeper than 64"),
        (b"[" + b"1," * 200_000 + b"1]", "more than 200000 values"),
        (b'"' + b'\\"' * 1_000_000, "not JSON"),
    ],
)
def test_what_breaks_a_limit_is_refused(data, says):
    """Each limit is told by a sentence of its own."""
    with pytest.raises(UntrustedError, match=says):
        parse_json(data)


def test_brackets_in_strings_do_not_count():
    """Brackets and commas inside strings, escaped quotes or not, count for nothing."""
    text = '[{",' * 1000 + '\\"' * 1000
    assert parse_json(canonical_json([text] * 10), max_depth=2, max_values=20) == [text] * 10


def test_a_pair_of_surrogates_and_a_byte_order_mark_are_taken():
    """A whole pair is a character, and a byte order mark is passed over."""
    assert parse_json(b'\xef\xbb\xbf"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_only_an_object_is_an_object():
    """A list is not taken where an object is wanted."""
    assert parse_json_object(b'{"a": []}') == {"a": []}
    with pytest.raises(UntrustedError, match="not an object"):
        parse_json_object(b"[]")


def test_a_refused_bomb_takes_no_memory():
    """Four megabytes of brackets are refused in 100 MiB of address space."""
    code = (
        "import resource; from mealkit.untrusted import parse_json, UntrustedError\n"
        "data = b'[0,' * 1_400_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (100 << 20, 100 << 20))\n"
        "try: parse_json(data)\n"
        "except UntrustedError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert resource.getrlimit(resource.RLIMIT_AS)


def test_a_file_is_read_whole_and_no_further(tmp_path: Path):
    """A file of just the allowed size is read, one byte more is refused."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_file(path, 10) == b"x" * 10
    with pytest.raises(UntrustedError, match="larger than 9 bytes"):
        read_file(path, 9)


def test_a_sparse_file_is_not_read(tmp_path: Path):
    """The size of a sparse file of a terabyte costs nothing."""
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(UntrustedError, match="larger than"):
        read_file(path, 1000)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path):
    """A FIFO, a device, a socket and a folder are refused without waiting."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(UntrustedError, match="not a regular file"):
            read_file(path, 10)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="No such device"):
            read_file(tmp_path / "socket", 10)


def test_a_link_is_followed_only_if_wanted(tmp_path: Path):
    """follow=False refuses a link; without it links are followed."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 10) == b"x"
    with pytest.raises(OSError, match="symbolic links"):
        read_file(tmp_path / "link", 10, follow=False)


def test_what_others_wrote_is_shown_on_one_line():
    """Line breaks and terminal sequences are escaped, long texts shortened."""
    assert shown("a\n\x1b[31mb") == r"'a\n\x1b[31mb'"
    assert shown("x" * 500, limit=3) == "'xxx'... (500 characters)"


def test_what_python_wrote_is_read_as_python_reads_it():
    """A config.json may have infinite numbers, and a member twice of which the last one counts."""
    data = b'{"time_step_limit": [0.0, Infinity], "a": 1, "a": 2}'
    assert parse_json(data, as_python=True) == {"time_step_limit": [0.0, float("inf")], "a": 2}
    with pytest.raises(UntrustedError):
        parse_json(data)
    with pytest.raises(UntrustedError, match="deeper"):
        parse_json(b"[" * 65 + b"]" * 65, as_python=True)


def test_many_tiny_streams_are_linear_work():
    """Eight megabytes of gzip streams of twenty bytes, in one chunk, take seconds and not minutes."""
    code = (
        "import gzip, resource; from mealkit.untrusted import decompressed\n"
        "data = gzip.compress(b'') * 400_000\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "print(sum(map(len, decompressed([data], 'gz', 1000))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
