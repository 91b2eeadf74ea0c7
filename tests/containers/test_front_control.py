"""The control socket of a front: what a broken or hostile one can answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mealkit.containers.front_config import BACKEND, CONTROL_NAME, SLOTS
from mealkit.containers.front_control import FrontControl
from mealkit.errors import DeploymentError

HEAD = (
    "# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_time_since_last_change srv_port"
)
SERVERS = "\n".join(f"3 {BACKEND} 1 {name} 127.0.0.1 5 7 1" for name in SLOTS)


class Socket:
    """Answers every line with the same text, and remembers the lines."""

    def __init__(self, folder: Path) -> None:
        self.answer = b""
        self.lines: list[str] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(folder / CONTROL_NAME))
        self._door.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._door.accept()
                with caller, suppress(OSError):
                    self.lines.append(caller.recv(65536).decode().strip())
                    caller.sendall(self.answer)

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._door.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose path is longer than the address of a socket can be."""
    found = tmp_path / ("d" * 100)
    found.mkdir()
    return found


@pytest.fixture
def answering(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Socket]:
    monkeypatch.chdir(folder)
    opened = Socket(Path())
    yield opened
    opened.close()


def test_slots_are_read(answering, folder):
    """The table has all slots; both bits of a command stop new requests."""
    answering.answer = f"1\n{HEAD}\n{SERVERS}\n".encode()
    slots = FrontControl(folder).slots()
    assert set(slots) == set(SLOTS)
    assert all(slot.is_new and not slot.is_ready for slot in slots.values())
    assert answering.lines == [f"show servers state {BACKEND}"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"Unknown command: 'show'\n",
        f"1\n{HEAD}\n".encode(),
        f"1\n{HEAD}\n{SERVERS.replace(' 5 7 1', ' x 7 1')}\n".encode(),
        f"1\n{HEAD}\n{SERVERS.replace(' 5 7 1', f' 5 7 {1:0>99}')}\n".encode(),
        f"1\n{HEAD}\n{SERVERS}\n3 {BACKEND} 1 more 127.0.0.1 5 7 1\n".encode(),
        b"\xff\xfe" * 100,
        b"# be_id \n" * 200_000,
    ],
)
def test_odd_answers_are_problems(answering, folder, answer):
    """Each has a code and an owner, and is read up to its bound only."""
    answering.answer = answer
    with pytest.raises(DeploymentError) as error:
        FrontControl(folder).slots()
    assert error.value.problems[0].code == "FRONT_FAILED"


def test_a_missing_socket_is_a_problem(folder):
    """A front that does not run has none."""
    with pytest.raises(DeploymentError, match="does not answer at its control socket"):
        FrontControl(folder).totals()


def test_a_switch_is_one_line(answering, folder):
    """The new slot gets requests first; the kill of mealkit in between cannot leave out a part."""
    FrontControl(folder).switch("r2", ["r1"])
    assert answering.lines == [
        f"set server {BACKEND}/r2 state ready; set server {BACKEND}/r1 state drain"
    ]
