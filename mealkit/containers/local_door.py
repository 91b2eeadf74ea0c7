"""Opens and calls Unix sockets by the descriptor of their folder.

The path of a socket may have only 107 bytes, and a home may have a longer one.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BACKLOG = 64


def open_door(
    folder: Path, name: str, kind: socket.SocketKind = socket.SOCK_SEQPACKET
) -> socket.socket:
    """Return a listening socket at ``folder/name``, in place of one that no process has any more.

    By default its messages have borders, and may carry descriptors.

    Raises:
        OSError: it cannot be made.
    """
    (folder / name).unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, kind)
    try:
        with _short(folder) as path:
            door.bind(f"{path}/{name}")
        door.listen(_BACKLOG)
    except BaseException:
        door.close()
        raise
    return door


def call_door(
    folder: Path, name: str, seconds: float, kind: socket.SocketKind = socket.SOCK_SEQPACKET
) -> socket.socket:
    """Return a connection to the socket at ``folder/name``.

    Raises:
        OSError: no process accepts it.
    """
    caller = socket.socket(socket.AF_UNIX, kind)
    try:
        caller.settimeout(seconds)
        with _short(folder) as path:
            caller.connect(f"{path}/{name}")
    except BaseException:
        caller.close()
        raise
    return caller


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{held}"
    finally:
        os.close(held)
