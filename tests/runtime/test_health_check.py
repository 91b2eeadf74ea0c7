"""The command that the image's HEALTHCHECK runs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import mealkit
from mealkit.runtime.gateway.keys import new_key
from mealkit.runtime.life.waiting_server import WaitingServer
from mealkit.runtime.state import Lifecycle, Status

LIBRARY = Path(mealkit.__file__).parents[1]


def check(**environment):
    """Run the command as an engine does; return its exit code and what it prints."""
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "mealkit.runtime.health_check"],
        env={"PYTHONPATH": str(LIBRARY), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def port_of(kit):
    return kit.events("listening")[0]["port"]


def test_a_ready_kit_is_healthy(start):
    """Also if callers need a key; the port may be the user's, or the platform's."""
    _, kept = new_key("team")
    kit = start(environment={"MEALKIT_KEYS": kept.line, "MEALKIT_HOST": "::"}).wait_ready()
    port = str(port_of(kit))
    code, printed = check(MEALKIT_PORT=port)
    assert (code, json.loads(printed)["status"]) == (0, "ready")
    assert check(PORT=port)[0] == 0
    assert check(MEALKIT_PORT=port, MEALKIT_HOST="0.0.0.0")[0] == 0
    assert check(MEALKIT_PORT=port, MEALKIT_HOST="::1")[0] == 0


def test_the_port_is_the_locks_by_default(start, make_lock):
    """Nothing in the environment states it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kit = start(make_lock(serving={"port": port}), environment={"MEALKIT_PORT": str(port)})
    kit.wait_ready()
    assert check(MEALKIT_ETC=str(kit.root / "etc"))[0] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_kit_that_loads_is_not_healthy(host):
    """What it prints is the state, with its reason; a kit of one version of IP is found."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    lifecycle = Lifecycle(lambda: 0.0)
    lifecycle.move(Status.PREFLIGHT, "comparing")
    with (
        socket.create_server((host, 0), family=family) as listener,
        WaitingServer(listener, lifecycle),
    ):
        code, printed = check(MEALKIT_PORT=str(listener.getsockname()[1]))
    assert (code, json.loads(printed)["reason"]) == (1, "comparing")


@pytest.mark.parametrize("answer", [b"", b"HTTP", b"nonsense\r\n\r\n"])
def test_an_answer_that_is_not_http_is_not_healthy(answer, background):
    """The reason is one line."""

    def answer_once(listener):
        peer, _ = listener.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        background(answer_once, listener)
        code, printed = check(MEALKIT_PORT=str(listener.getsockname()[1]))
    assert (code, printed.count("\n")) == (1, 1)
    assert printed.startswith("the kit does not answer")


@pytest.mark.parametrize("port", ["1", "x", "0", "70000", "9" * 5000])
def test_nobody_answers(port):
    """A port without a kit, and what is no port, is not healthy."""
    code, printed = check(MEALKIT_PORT=port, MEALKIT_ETC=os.devnull)
    assert code == 1
    assert printed.startswith("the kit does not answer")
    assert port != "1" or "refused" in printed
