"""Reading files piece by piece, whatever stands at their path."""

import os
import socket
from pathlib import Path

import pytest

from mealkit.digest import digest_of_file, file_chunks


def place(kind: str, folder: Path) -> Path:
    path = folder / kind.replace("/", "-")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(kind)
    return path


@pytest.mark.parametrize(
    "kind", ["fifo", "socket", "folder", "/dev/zero", "/dev/tty", "/proc/self/status", "loop"]
)
def test_only_regular_files_are_read(tmp_path, kind):
    """A FIFO, a socket, a device, a file of the kernel and a link to one are refused, not read."""
    with pytest.raises(OSError) as error:
        digest_of_file(place(kind, tmp_path))
    assert error.value.strerror


def test_a_file_that_grows_is_read_as_far_as_it_was_and_then_refused(tmp_path):
    """Somebody who goes on writing does not keep the reader going."""
    path = tmp_path / "grows"
    path.write_bytes(bytes(8))
    read: list[int] = []

    def write(chunk: memoryview) -> None:
        read.append(len(chunk))
        with path.open("ab") as writer:
            writer.write(bytes(16))

    with pytest.raises(OSError, match="it grew"):
        list(map(write, file_chunks(path, chunk_bytes=4)))
    assert read == [4, 4]
    assert b"".join(bytes(chunk) for chunk in file_chunks(path, 4, 8)) == bytes(8)
