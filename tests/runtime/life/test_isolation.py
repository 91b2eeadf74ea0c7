"""What a kit's own code cannot do to the gateway, and to the callers whose keys that sees."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from runtime.conftest import LIBRARY, container_command, python_kit, with_code

from mealkit.recipe.lock import lock_bytes
from mealkit.runtime.gateway.keys import new_key, take_secrets

HOSTILE = Path(__file__).parents[1] / "standin" / "hostile_handler.py"
REFUSED = {"EACCES", "EPERM", "ENOSYS", "EADDRINUSE", "EAFNOSUPPORT", "ENODEV"}

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the attempts' numbers are this processor's"
)


@pytest.fixture
def attempts(start, make_lock):
    """What a hostile handler says of its attempts, from inside a kit that has keys."""
    key, kept = new_key("team")
    kit = start(
        python_kit(make_lock),
        change=with_code(HOSTILE.read_text()),
        environment={"MEALKIT_KEYS": kept.line},
    ).wait_ready()
    return asked(kit.client, key, kit.process.pid, kit.client.base_url.port)


def asked(client, key, gateway, port):
    """Have the handler attempt everything, twice: afterwards the kit answers still."""

    def ask():
        body = {"input": {"gateway": gateway, "port": port}}
        answer = client.post(
            "/v1/predict", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["output"]

    found = ask()
    assert ask() == found
    return found


def done(attempts):
    said = {"environment", "descriptors", "rights"}
    return {name for name, how in attempts.items() if name not in said and how not in REFUSED}


def test_nothing_of_the_gateway_is_within_a_handlers_reach(attempts):
    """Neither its memory, files, environment and socket, nor a signal, nor rarer system calls."""
    # As the host's root, these are the user's own files; in a container, they are not.
    roots = {"list fd", "write oom_score_adj", "write coredump_filter", "write comm"}
    assert done(attempts) <= (roots if os.geteuid() == 0 else {"write comm"})
    assert len(attempts) > 60


def test_a_handler_is_given_nothing_of_the_gateways(attempts):
    """No key and no secret in its environment, no socket that listens but its own, no rights."""
    names = set(attempts["environment"].split())
    assert not {name for name in names if name.startswith("MEALKIT_")}
    assert "SECRET_OF_THE_GATEWAY" not in names
    assert attempts["descriptors"] == "AF_UNIX"
    rights = dict(item.split(":") for item in attempts["rights"].split())
    assert {rights[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (rights["NoNewPrivs"], rights["Seccomp"]) == ("1", "2")


@pytest.mark.docker
@pytest.mark.parametrize("user", [65532, 0])
def test_nor_in_a_container(empty_image, make_lock, tmp_path, user):
    """Of an unprivileged user, as kits are; and of root, where the worker is another user."""
    key, kept = new_key("team")
    (tmp_path / "models").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "kit.lock").write_bytes(lock_bytes(python_kit(make_lock, weights={})))
    with_code(HOSTILE.read_text())(tmp_path)
    tmp_path.chmod(0o755)
    # The handler is root's even so, and what the kernel holds back for root is this process's.
    name = f"mealkit-test-isolation-{os.getpid()}-{user}"
    rights = ["--cap-drop=ALL", "--read-only"] if user else []
    command = container_command(
        empty_image,
        tmp_path,
        *("--detach", f"--name={name}", f"--user={user}:{user}", "--publish=127.0.0.1::8000"),
        *(f"--tmpfs=/state:exec,uid={user},mode=0700", *rights),
        MEALKIT_KEYS=kept.line,
    )
    subprocess.run(command, check=True, capture_output=True)
    try:
        port = published(name)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_ready(client, name)
            found = asked(client, key, 1, 8000)
        log = docker("logs", name)
        # Another process of the user, which no filter confines.
        look = "open('/proc/1/environ').read()"
        seen = subprocess.run(
            ["docker", "exec", "--user", "65532", name, sys.executable, "-c", look],
            capture_output=True,
            check=False,
        )
    finally:
        docker("rm", "--force", "--volumes", name)
    assert b"PermissionError" in seen.stderr
    assert done(found) == set()
    assert "uid:65532" in found["rights"]
    assert "CapPrm:0000000000000000" in found["rights"]
    assert not {item for item in found["environment"].split() if item.startswith("MEALKIT_")}
    assert '"event": "isolation"' not in log


def docker(*command):
    done = subprocess.run(["docker", *command], check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def published(name):
    return int(docker("port", name, "8000/tcp").strip().rpartition(":")[2])


def wait_ready(client, name):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if client.get("/v1/health/ready").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(docker("logs", name))


EARLY = """
import json, socket
found = {"confined": "Seccomp:\\t2" in open("/proc/self/status").read()}
try:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", NUMBER))
        found["port"] = "taken"
except OSError as error:
    found["port"] = error.strerror
with open("FOUND", "w") as file:
    json.dump(found, file)
"""


def test_what_a_package_runs_as_python_starts_comes_too_late(start, make_lock, tmp_path):
    """The port is the gateway's already, and the process confined, before any of it runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = tmp_path / "found"
    (tmp_path / "sitecustomize.py").write_text(
        EARLY.replace("NUMBER", str(port)).replace("FOUND", str(found))
    )
    kit = start(
        make_lock(),
        environment={
            "MEALKIT_PORT": str(port),
            "MEALKIT_ENGINE_PATH": f"{tmp_path}:{LIBRARY}:{HOSTILE.parent}",
        },
    ).wait_ready()
    assert json.loads(found.read_text()) == {"confined": True, "port": "Address already in use"}
    assert kit.embed("hello").status_code == 200


@pytest.mark.parametrize("leave", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/nowhere")])
@pytest.mark.parametrize("name", ["worker.json", "worker.json.part", "worker.sock"])
def test_what_is_left_in_the_state_folder_changes_nothing(start, make_lock, name, leave):
    """It may be older than the container, and everything in it the kit's own doing."""

    def change(root):
        (root / "state").mkdir()
        leave(root / "state" / name)

    assert start(make_lock(), change=change).wait_ready().embed("x").status_code == 200


def test_a_termination_log_tells_what_the_gateway_says(start, make_lock):
    """After success, nothing that the kit wrote there remains; a pipe does not block the exit."""
    kit = start(make_lock()).wait_ready()
    log = kit.root / "termination-log"
    log.write_text('{"code": "HW_GPU_LOST"}')
    kit.process.terminate()
    assert kit.wait_end() == 0
    assert log.read_text() == ""

    def change(root):
        (root / "termination-log").unlink()
        os.mkfifo(root / "termination-log")

    assert start(make_lock(settings={"load_exits": 3}), change=change).wait_end() == 11


def test_no_part_of_the_gateway_keeps_a_key():
    """A request's secrets leave the list that server and endpoints share."""
    headers = [(b"authorization", b"Bearer mk_x"), (b"cookie", b"a=b"), (b"accept", b"*/*")]
    shared = headers
    assert take_secrets(headers)[b"authorization"] == b"Bearer mk_x"
    assert shared == [(b"accept", b"*/*")]
    assert take_secrets(headers) == {}
