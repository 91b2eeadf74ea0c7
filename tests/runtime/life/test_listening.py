"""The socket that callers reach."""

import json
import socket
import subprocess
import sys


def failed(kit, code, exit_code):
    """Check the end of a failed start; return the problem."""
    assert kit.wait_end() == exit_code
    problems = [line for line in kit.lines if "event" not in line]
    assert [line["code"] for line in problems] == [code]
    assert kit.lines[-1] == problems[0]
    assert json.loads((kit.root / "termination-log").read_text()) == problems[0]
    return problems[0]


def test_port_that_is_taken(start):
    """A port in use is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        problem = failed(start(environment={"MEALKIT_PORT": str(port)}), "PORT_TAKEN", 9)
    assert f"127.0.0.1:{port}" in problem["message"]


def test_port_of_the_lock(start, make_lock):
    """Without a setting the lock's port is listened on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from mealkit.runtime.settings import read_settings\n"]
    kit = start(make_lock(serving={"port": port}))
    command[-1] += f"print(read_settings({{'MEALKIT_ETC': {str(kit.root / 'etc')!r}}}).port)"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{port}\n"
