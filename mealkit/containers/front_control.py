"""Speaks HAProxy's runtime API at its socket: one line of commands, one bounded answer.

Raises DeploymentError if the front does not answer, or does not understand.
Format: HAProxy's management guide, sections 9.1 and 9.3.
"""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.containers.front_config import BACKEND, CONTROL_NAME, NOWHERE, SLOTS
from mealkit.containers.local_door import call_door
from mealkit.errors import MealkitError, failure
from mealkit.untrusted import shown

_ANSWER_SECONDS = 10
_MOST_BYTES = 1024 * 1024
_MOST_DIGITS = 18

# Bits of srv_admin_state, both set by commands.
_MAINTENANCE, _DRAINING = 0x01, 0x08


@dataclass(frozen=True, slots=True)
class Slot:
    """A server of the front as it is now."""

    name: str
    place: str
    """Its address and port."""
    is_ready: bool
    """Whether it gets new requests."""
    changed_seconds: int
    """How long ago it became ready, or was stopped."""

    @property
    def is_new(self) -> bool:
        """Return whether it was never used."""
        return self.place == NOWHERE


@dataclass(frozen=True, slots=True)
class Totals:
    """What a revision answered since the front's start; compare two readings.

    Numbers that became smaller were begun again: the front was restarted, or its slot was reused.
    The two times are means of the last 1024 requests: up to the first byte of an answer, and up
    to its last.
    """

    answers: tuple[int, int, int, int, int]
    """The answers of the classes 1xx to 5xx; a caller that has gone before its answer is a 4xx."""
    connection_errors: int
    """Requests that could not be sent: the connection was refused, or took too long."""
    answer_errors: int
    """Requests that were sent, and whose answer is missing or broken; one may be counted twice."""
    sessions: int
    """The requests that are being answered now."""
    first_byte_seconds: float
    whole_seconds: float

    @property
    def requests(self) -> int:
        """The number of answers."""
        return sum(self.answers)


NO_TOTALS = Totals((0, 0, 0, 0, 0), 0, 0, 0, 0.0, 0.0)


class FrontControl:
    """The control socket in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def slots(self) -> dict[str, Slot]:
        """Return all slots by name.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        found = {}
        for row in _rows(self._ask(f"show servers state {BACKEND}"), " ", "be_id "):
            admin = _number(row, "srv_admin_state")
            slot = Slot(
                name=row.get("srv_name", ""),
                place=f"{row.get('srv_addr', '')}:{_number(row, 'srv_port')}",
                is_ready=not admin & (_MAINTENANCE | _DRAINING),
                changed_seconds=_number(row, "srv_time_since_last_change"),
            )
            found[slot.name] = slot
        if set(found) != set(SLOTS):
            raise _odd(f"it has the servers {', '.join(sorted(found))}")
        return found

    def totals(self) -> dict[str, Totals]:
        """Return the totals of all slots by name.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        return {
            row.get("svname", ""): Totals(
                answers=(
                    _number(row, "hrsp_1xx"),
                    _number(row, "hrsp_2xx"),
                    _number(row, "hrsp_3xx"),
                    _number(row, "hrsp_4xx"),
                    _number(row, "hrsp_5xx"),
                ),
                connection_errors=_number(row, "econ"),
                answer_errors=_number(row, "eresp"),
                sessions=_number(row, "scur") + _number(row, "qcur"),
                first_byte_seconds=_number(row, "rtime") / 1000,
                whole_seconds=_number(row, "ttime") / 1000,
            )
            for row in _rows(self._ask(f"show stat {BACKEND} 4 -1"), ",", "pxname,")
        }

    def begin_counting(self) -> None:
        """Set all totals to zero.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        self._do("clear counters all")

    def prepare(self, slot: str, address: str, port: int) -> None:
        """Give a slot that gets no requests the address of a target.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        self._do(f"set server {BACKEND}/{slot} addr {address} port {port}")

    def switch(self, ready: str | None, draining: Sequence[str]) -> None:
        """Send new requests to one slot, and no more to others; their answers go on.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        commands = [f"set server {BACKEND}/{ready} state ready"] if ready else []
        commands += [f"set server {BACKEND}/{slot} state drain" for slot in draining]
        self._do(*commands)

    def _do(self, *commands: str) -> None:
        if commands:
            self._ask("; ".join(commands))

    def _ask(self, line: str) -> str:
        received = b""
        try:
            with call_door(self._folder, CONTROL_NAME, _ANSWER_SECONDS, socket.SOCK_STREAM) as door:
                door.sendall(line.encode() + b"\n")
                while chunk := door.recv(64 * 1024):
                    received += chunk
                    if len(received) > _MOST_BYTES:
                        raise _odd(f"its answer has more than {_MOST_BYTES} bytes")
        except OSError as error:
            raise failure(
                "FRONT_FAILED",
                f"the front does not answer at its control socket: {error.strerror or error}",
                where=str(self._folder / CONTROL_NAME),
            ) from error
        return received.decode(errors="replace")


def _rows(text: str, separator: str, first: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, by the names in its head, which begins with ``# ``."""
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith(f"# {first}"):
            names = line[2:].split(separator)
        elif names and line:
            yield dict(zip(names, line.split(separator), strict=False))
    if not names:
        raise _odd(f"it answered {shown(' '.join(text.split()))}")


def _number(row: dict[str, str], name: str) -> int:
    text = row.get(name, "")
    if not text:
        return 0  # HAProxy leaves numbers out that do not apply
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise _odd(f"{name} is {shown(text)}, not a number")
    return int(text)


def _odd(what: str) -> MealkitError:
    return failure("FRONT_FAILED", f"the front's answer cannot be understood: {what}")
