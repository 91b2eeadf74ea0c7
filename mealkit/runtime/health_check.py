"""Asks the kit in this container whether it is ready: the image's HEALTHCHECK, without a shell.

Prints the state; the exit code is 0 if the kit is ready, else 1. Container engines run it every few
seconds, so it imports only quick modules.
"""

import _socket
import json
import os
import sys
from collections.abc import Mapping

from mealkit.paths import DEFAULTS, LOCK_NAME, stated_port
from mealkit.runtime.urls import READY_PATHS

_SECONDS = 4.0
_ANSWER_BYTES = 64 * 1024
_REQUEST = f"GET {READY_PATHS[0]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# A socket that listens on all addresses also listens on these.
_ALL = {"::": ("127.0.0.1", "::1"), "0.0.0.0": ("127.0.0.1",)}  # noqa: S104  compared, not bound


def main(environment: Mapping[str, str]) -> int:
    """Ask the kit that was started with this environment; return the exit code.

    A kit on any free port (``MEALKIT_PORT=0``) cannot be found.
    """
    try:
        status, body = _asked(environment)
    except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        sys.stdout.write(f"the kit does not answer: {error}\n")
        return 1
    sys.stdout.write(f"{body}\n")
    return 0 if status == "200" else 1


def _asked(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the status and the body of the kit's answer."""
    port = _port(environment)
    host = environment.get("MEALKIT_HOST", DEFAULTS["MEALKIT_HOST"])
    faults: list[OSError] = []
    for address in _ALL.get(host, (host,)):
        try:
            return _answer(address, port)
        except OSError as error:
            faults.append(error)
    raise faults[0]


def _port(environment: Mapping[str, str]) -> int:
    stated = stated_port(environment)
    if stated is not None:
        return int(stated[1])
    etc = environment.get("MEALKIT_ETC", DEFAULTS["MEALKIT_ETC"])
    with open(f"{etc}/{LOCK_NAME}", "rb") as file:  # noqa: PTH123  pathlib takes long to import
        return int(json.load(file)["serving"]["port"])


def _answer(address: str, port: int) -> tuple[str, str]:
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    connection = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        connection.connect((address, port))
        connection.send(_REQUEST.encode())
        data = b""
        while len(data) < _ANSWER_BYTES and (chunk := connection.recv(_ANSWER_BYTES)):
            data += chunk
    finally:
        connection.close()
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    return head.split(" ", 2)[1], body


if __name__ == "__main__":
    sys.exit(main(os.environ))
