"""What the gateway of a revision may answer at its control socket: it is a kit's, so not trusted."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mealkit.containers.local_door import open_door
from mealkit.containers.revision_control import CONTROL, lent_socket, place_of, tell
from mealkit.containers.sandbox_plan import open_listener
from mealkit.errors import DeploymentError

STATE = {
    "place": ["127.0.0.1", 8000],
    "open": 1,
    "answers": [0, 5, 0, 1, 0],
    "broken": 0,
    "first_seconds": 0.1,
    "whole_seconds": 0.2,
}


@contextmanager
def revision(folder: Path, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    """A revision that gives one answer."""
    with open_door(folder, CONTROL) as door:

        def once() -> None:
            caller, _ = door.accept()
            with caller:
                caller.recv(64)
                answer(caller)

        thread = threading.Thread(target=once)
        thread.start()
        yield
        thread.join(60)


def said(form: object) -> Callable[[socket.socket], object]:
    data = form if isinstance(form, bytes) else json.dumps(form).encode()
    return lambda caller: caller.send(data)


def test_an_answer_is_read(tmp_path):
    """The address, the open requests, and what was answered; the path may be long."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with revision(folder, said(STATE)):
        state = tell(folder, "state")
    assert state.place == ("127.0.0.1", 8000)
    assert (state.totals.sessions, state.totals.requests) == (1, 6)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[" * 4000,
        [],
        {},
        STATE | {"open": -1},
        STATE | {"open": 10**30},
        STATE | {"open": True},
        STATE | {"answers": [1, 2]},
        STATE | {"answers": 7},
        STATE | {"place": ["127.0.0.1"]},
        STATE | {"place": 8000},
        STATE | {"first_seconds": None},
        STATE | {"first_seconds": "x" * 3000},
    ],
)
def test_an_odd_answer_is_refused(tmp_path, answer):
    """A problem names the revision, and nothing else happens."""
    with (
        revision(tmp_path, said(answer)),
        pytest.raises(DeploymentError, match=tmp_path.name),
    ):
        tell(tmp_path, "state")


def test_a_revision_without_a_control_socket_is_named(tmp_path):
    """An image of an older mealkit cannot take part."""
    with pytest.raises(DeploymentError, match="control socket") as caught:
        tell(tmp_path, "join")
    assert "build the image again" in str(caught.value.problems[0].hint)


@pytest.mark.parametrize("kind", ["other port", "not listening", "a file"])
def test_only_the_deployments_socket_is_accepted(tmp_path, kind):
    """What a revision lends is looked at: another socket would answer the callers."""
    with open_listener("127.0.0.1", 0) as own, open_listener("127.0.0.1", 0) as other:
        place = place_of(own)
        with socket.create_connection(place) as caller, Path("/dev/null").open() as file:
            lent = {"other port": other, "not listening": caller, "a file": file}[kind].fileno()
            data = json.dumps(STATE).encode()
            with revision(tmp_path, lambda door: socket.send_fds(door, [data], [lent])):
                assert lent_socket(tmp_path, place) is None
        with revision(tmp_path, lambda door: socket.send_fds(door, [data], [own.fileno()])):
            found = lent_socket(tmp_path, place)
        assert found is not None
        with found:
            assert place_of(found) == place
