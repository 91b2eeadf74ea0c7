"""mealkit console from start to Ctrl-C."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

from typer.testing import CliRunner

from mealkit.cli.program import app


def test_console(tmp_path):
    """It prints its address with a token, listens on loopback only, and ends with Ctrl-C."""
    command = [sys.executable, "-m", "mealkit", "console", "--port", "0"]
    environment = {**os.environ, "MEALKIT_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = urlsplit(process.stdout.readline().strip())
        assert (address.hostname, len(address.fragment)) == ("127.0.0.1", 43)
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, b"Deployments" in answer.read()) == (200, True)
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_port_that_is_taken(tmp_path):
    """The problem names another port as the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["--home", str(tmp_path), "console", "--port", port])
    assert done.exit_code == 9
    assert "PORT_TAKEN" in done.output
