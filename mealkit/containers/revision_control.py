"""Talks to the gateway of a revision in the sandbox: gives it the deployment's socket, takes it.

Raises DeploymentError if the revision does not answer, or its answer cannot be understood: the kit
is not trusted.
"""

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.containers.front_control import Totals
from mealkit.containers.local_door import call_door
from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json, shown

CONTROL = "control"
"""The name of a revision's control socket, in the folder of its sandbox."""

Place = tuple[str, int]

_ANSWER_SECONDS = 10.0
_MOST_BYTES = 4096
_MOST_COUNT = 10**15


@dataclass(frozen=True, slots=True)
class RevisionState:
    """What a revision says about the deployment's socket."""

    place: Place | None
    """The address at which it accepts callers, in addition to its own; None: at none."""
    totals: Totals


def tell(folder: Path, order: str, listener: int | None = None) -> RevisionState:
    """Give an order to a revision: ``join`` with a listening socket, ``leave``, or ``state``.

    Raises:
        DeploymentError: ``FRONT_FAILED``.
    """
    state, lent = _told(folder, order, [] if listener is None else [listener])
    _close(lent)
    return state


def lent_socket(folder: Path, place: Place) -> socket.socket | None:
    """Return a copy of the deployment's socket; None if the revision has none at this address.

    Raises:
        DeploymentError: ``FRONT_FAILED``.
    """
    _, lent = _told(folder, "lend", [])
    for number in lent:
        with contextlib.suppress(OSError):  # it may be no socket
            found = socket.socket(fileno=os.dup(number))
            if _listens(found, place):
                _close(lent)
                return found
            found.close()
    _close(lent)
    return None


def place_of(listener: socket.socket) -> Place:
    """Return the address and the port of a socket."""
    host, port, *_ = listener.getsockname()
    return str(host), int(port)


def _listens(found: socket.socket, place: Place) -> bool:
    """Return whether a socket from a kit is one that listens at an address."""
    is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    is_tcp = found.family in {socket.AF_INET, socket.AF_INET6}
    return bool(is_listening) and is_tcp and place_of(found) == place


def _told(folder: Path, order: str, sockets: list[int]) -> tuple[RevisionState, list[int]]:
    try:
        with call_door(folder, CONTROL, _ANSWER_SECONDS) as door:
            socket.send_fds(door, [order.encode()], sockets)
            data, lent, _, _ = socket.recv_fds(door, _MOST_BYTES, 1)
    except OSError as error:
        raise failure(
            "FRONT_FAILED",
            f"{folder.name} does not answer at its control socket: {error.strerror or error}",
            hint="build the image again: an older one has no such socket",
        ) from error
    try:
        return _state_of(data), lent
    except (UntrustedError, LookupError, TypeError, ValueError) as error:
        _close(lent)
        message = f"{folder.name} gave an answer that cannot be understood: {error}"
        raise failure("FRONT_FAILED", message) from error


def _close(lent: list[int]) -> None:
    for number in lent:
        os.close(number)


def _state_of(data: bytes) -> RevisionState:
    form = parse_json(data, max_depth=4)
    place = form["place"]
    counts = [_count(item) for item in form["answers"]]
    first, second, third, fourth, fifth = counts
    totals = Totals(
        answers=(first, second, third, fourth, fifth),
        connection_errors=0,
        answer_errors=_count(form["broken"]),
        sessions=_count(form["open"]),
        first_byte_seconds=float(form["first_seconds"]),
        whole_seconds=float(form["whole_seconds"]),
    )
    return RevisionState(None if place is None else (str(place[0]), _count(place[1])), totals)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_COUNT:
        raise ValueError(f"{shown(repr(value))} is not a count")
    return value
