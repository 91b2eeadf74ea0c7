"""The built image as platforms start it: any user, their port, one version of IP, no place to write."""

import json
import time

import pytest
from fakes.served import PATIENCE_SECONDS, ended_of, published, wait_ready

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("demo")]


def events(container):
    lines = [json.loads(line) for line in container.logs().decode().splitlines()]
    return {line["event"]: line for line in lines if "event" in line}


def wait_healthy(container):
    """Wait until the engine's own check of the container's health succeeds; return its output."""
    ended, deadline = ended_of(container), time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert ended() is None, ended()
        health = container.attrs["State"]["Health"]
        if health["Status"] == "healthy":
            return health["Log"][-1]["Output"]
        time.sleep(0.1)
    raise AssertionError(container.attrs["State"])


def test_any_user_of_group_0_on_the_platforms_port(demo_tag, started):
    """As OpenShift and Knative start it; the engine finds it healthy without a shell."""
    container = started(
        demo_tag,
        user="1000650000:0",
        environment={"PORT": "9000"},
        ports={"9000/tcp": ("127.0.0.1", 0)},
        cap_drop=["ALL"],
    )
    assert '"status": "ready"' in wait_healthy(container)
    wait_ready(published(container, 9000))
    assert events(container)["listening"]["port"] == 9000
    assert not [line for line in events(container).values() if "closed" in line]
    look = "import os; s = os.stat('/var/lib/mealkit/worker.json'); print(s.st_gid, oct(s.st_mode))"
    found = container.exec_run(["/usr/bin/python3.13", "-c", look])
    assert found.output.split() == [b"0", b"0o100664"]


def test_a_user_without_a_place_to_write(demo_tag, started):
    """A read-only root, no tmpfs, no group: it writes to shared memory, and the log says so."""
    container = started(demo_tag, user="1234:1234", read_only=True, ports={"8000/tcp": None})
    wait_ready(published(container), ended_of(container))
    lines = [json.loads(line) for line in container.logs().decode().splitlines()]
    (moved,) = [line for line in lines if line.get("closed")]
    assert moved["closed"] == "/var/lib/mealkit"
    assert moved["used"].startswith("/dev/shm/mealkit-")  # noqa: S108


def test_a_user_who_may_write_nowhere(demo_tag, started):
    """The problem names the user who needs a folder."""
    closed = {"/dev/shm": "ro", "/tmp": "ro"}  # noqa: S108  the container's
    container = started(demo_tag, user="1234:1234", read_only=True, tmpfs=closed)
    assert container.wait(timeout=PATIENCE_SECONDS)["StatusCode"] == 6
    problem = json.loads(container.logs().decode().splitlines()[-1])
    assert problem["code"] == "DISK_DENIED"
    assert "--tmpfs /var/lib/mealkit:exec,uid=1234,mode=0700" in problem["hint"]
