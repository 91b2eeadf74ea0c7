"""Keeps the listening socket of a deployment in the sandbox open while its revisions change.

It accepts no connection: a revision does, with a copy of the socket. It is a script that imports
only the standard library, and is run by path in its own session. Its door is a Unix socket.
"""

import contextlib
import os
import socket
import sys

_ORDER_SECONDS = 5.0


def main(listener: int, door: int, place: str) -> None:
    """Pass a copy of the socket to all who ask at the door, until one says to end."""
    if os.fork():
        os._exit(0)  # the parent waits for this process, so that it has no child to reap later
    with socket.socket(fileno=door) as own:
        while True:
            caller, _ = own.accept()
            with caller, contextlib.suppress(OSError):
                caller.settimeout(_ORDER_SECONDS)
                order = caller.recv(16)
                if order == b"take":
                    socket.send_fds(caller, [place.encode()], [listener])
                elif order == b"end":
                    os.close(listener)  # before the caller sees this connection close
                    return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
