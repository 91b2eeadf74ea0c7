"""A deployment in the sandbox: upgrade without an engine, a lost machine, the end."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from end_to_end.test_deployments import RAKE, Web
from fakes.little import Heard
from fakes.served import free_port, get

from mealkit.acceptance.target import SilentListener
from mealkit.containers.sandbox import Sandbox
from mealkit.deploy.watch import WatchLimits
from mealkit.pipeline.operate.deployment_site import this_site
from mealkit.pipeline.operate.deployment_status import statuses
from mealkit.pipeline.operate.upgrading import UpRequest, down, up
from mealkit.pipeline.run.run_request import RunRequest

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("deployment")]


def keepers(port: int) -> list[int]:
    """Return the processes that keep the socket of a port."""
    place = f"127.0.0.1 {port}".encode()
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if place in path.read_bytes().split(b"\0")
    ]


def test_a_deployment_needs_no_engine(home_with_files, tmp_path, monkeypatch):
    """Callers notice no upgrade; after a lost machine status starts everything again; down ends it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    unit = tmp_path / "config" / "systemd" / "user" / "mealkit-web.service"
    web = Web(home_with_files(tmp_path / "home"), tmp_path, "web", free_port())
    site = this_site(web.home, Heard())
    sandbox = Sandbox(web.home.runs)

    def bring_up(*origins: str) -> None:
        run = RunRequest(
            str(RAKE), client="sandbox", port=web.port, origins=origins, timeout_seconds=120
        )
        limits = WatchLimits(seconds=1)
        up(UpRequest("web", run, tests=None, watch=limits), site, SilentListener())

    bring_up()
    try:
        caller = threading.Thread(target=web.ask_all_the_time)
        caller.start()
        bring_up("https://example.org")
        web.ended.set()
        caller.join(60)
        assert set(web.statuses) == {200}
        assert [item.name for item in sandbox.list() if item.exit is None] == ["web-r2"]
        assert "status web --keep" in unit.read_text()
        sandbox.stop("web-r2", 0)  # also waits for its end
        for process in keepers(web.port):
            os.kill(process, signal.SIGKILL)
        (found,) = statuses("web", site)
        assert found.deployment.serving == 2
        answer, _ = get(f"http://127.0.0.1:{web.port}/v1/health/ready")
        assert answer["status"] == "ready"
    finally:
        down("web", site, purge=False, wait=True)
    assert sandbox.list() == []
    assert keepers(web.port) == []
    assert not unit.exists()
    with socket.socket() as caller_of_none:
        assert caller_of_none.connect_ex(("127.0.0.1", web.port)) != 0
