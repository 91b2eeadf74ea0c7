"""The image's command `test`: another container of the kit is asked its cases."""

import json
import shutil
import socket
import socketserver
import subprocess
import sys
import threading

import pytest
from runtime.conftest import LIBRARY

from mealkit.recipe.cases import Case
from mealkit.recipe.kit import Feature
from mealkit.runtime.gateway.keys import new_key


def case(name, said):
    form = {"name": name, "request": {"prompt": "salt and oil"}, "expect": [{"equals": said}]}
    return Case.model_validate_json(json.dumps(form))


@pytest.fixture(scope="module")
def key():
    return new_key("tester")


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock, key):
    """A kit with keys; one of its two cases holds."""
    lock = make_api_lock(features=frozenset({Feature.COMPLETION}))
    cases = (case("upper", "SALT AND OIL "), case("lower", "salt and oil "))
    lock = lock.model_copy(update={"cases": cases})
    return start_shared(lock, environment={"MEALKIT_KEYS": key[1].line}).wait_ready()


def asked(kit, *arguments, address=None, **environment):
    address = address or str(kit.client.base_url)
    return subprocess.run(
        [sys.executable, "-s", "-P", "-m", "mealkit.runtime", "test", address, *arguments],
        env={"PYTHONPATH": str(LIBRARY), "MEALKIT_ETC": str(kit.root / "etc"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_case_that_fails_is_named(kit, key, tmp_path):
    """With what was expected, the owner, and the exit code of failed tests; the key is read from a file."""
    file = tmp_path / "key"
    file.write_text(f"{key[0]}\n")
    done = asked(kit, "--api-key-file", str(file))
    assert done.returncode == 14, done.stderr
    assert "holds       upper: the answer is as stated" in done.stdout
    said = "1 of 1 statements about the answer is not true (owner kit-author)"
    assert f"fails       lower: {said}" in done.stdout
    assert "\nkit-author: " in done.stdout
    assert 'expected "salt and oil ", answered "SALT AND OIL "' in done.stdout
    assert "1 of 2 fail" in done.stdout


def test_the_report_is_json_for_machines(kit, key):
    """Only the report is on stdout; the key is read from the environment."""
    done = asked(kit, "--json", MEALKIT_API_KEY=key[0])
    report = json.loads(done.stdout)
    assert [item["verdict"] for item in report["cases"]] == ["holds", "fails"]
    assert report["kit"]["address"] == str(kit.client.base_url).rstrip("/")
    assert key[0] not in done.stdout + done.stderr
    assert done.returncode == 14


class Refusing(socketserver.ThreadingTCPServer):
    """A way to a kit that closes the first connection."""

    daemon_threads = True
    first = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.port = port

    def finish_request(self, request, client_address):
        if self.first:
            self.first = False
            return
        with socket.create_connection(("127.0.0.1", self.port)) as kit:
            threading.Thread(
                target=shutil.copyfileobj, args=ends(request, kit), daemon=True
            ).start()
            shutil.copyfileobj(*ends(kit, request))


def ends(source, target):
    return source.makefile("rb", buffering=0), target.makefile("wb", buffering=0)


@pytest.mark.parametrize(("options", "said"), [((), "TEST_UNREACHABLE"), (("--wait=60",), "lower")])
def test_a_kit_that_cannot_be_reached_at_once_is_waited_for(kit, key, options, said):
    """Some networks refuse the first connections of a new container."""
    with Refusing(kit.client.base_url.port) as way:
        threading.Thread(target=way.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{way.server_address[1]}"
        done = asked(kit, *options, MEALKIT_API_KEY=key[0], address=address)
        way.shutdown()
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [((), 14, "error[TEST_KEY]"), (("--limit", "0"), 2, "'0' is not a number from 1 on")],
)
def test_what_keeps_it_from_testing_is_said(kit, arguments, code, said):
    """As a problem with its owner, or as a usage error."""
    done = asked(kit, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
