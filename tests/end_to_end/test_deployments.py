"""A deployment in Docker: upgrades, bad revisions, a lost machine, the way back, the end."""

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.engine_images import engine_tags, remove_tags
from fakes.little import Heard, edit_kit
from typer.testing import CliRunner

from mealkit.acceptance.target import SilentListener
from mealkit.cli.program import app
from mealkit.containers.docker import DockerClient
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import DeploymentError, MealkitError, Owner
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import read_logs, running_kits, stop_kit
from mealkit.pipeline.operate.deployment_site import this_site
from mealkit.pipeline.operate.deployment_status import statuses
from mealkit.pipeline.operate.upgrading import RollbackRequest, UpRequest, down, rollback, up
from mealkit.pipeline.run.run_request import RunRequest

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("deployment")]

RAKE = Path(__file__).parents[2] / "kits" / "rake"


@dataclass
class Web:
    """A deployment of the kit rake, and a caller that asks all the time."""

    home: Home
    folder: Path
    name: str
    port: int
    statuses: list[int | str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def kit(self, version: str, change: tuple[str, str] = ("", "")) -> Path:
        copy = self.folder / version
        shutil.copytree(RAKE, copy)
        edit_kit(copy, lambda form: form.update(version=version))
        code = (copy / "handler.py").read_text()
        assert change[0] in code
        (copy / "handler.py").write_text(code.replace(*change) if change[0] else code)
        return copy

    def up(self, kit: Path, **more: Any) -> None:
        run = RunRequest(str(kit), client="docker", port=self.port, timeout_seconds=120)
        request = UpRequest(self.name, run, **{"watch": WatchLimits(seconds=0), **more})
        up(request, this_site(self.home, Heard()), SilentListener())

    def ask_all_the_time(self) -> None:
        body = json.dumps({"input": {"text": "Linear equations, and linear inequations."}})
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/v1/predict"
        while not self.ended.is_set():
            request = urllib.request.Request(url, body.encode(), headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self.statuses.append(answer.status)
            except urllib.error.HTTPError as error:
                self.statuses.append(error.code)
            except OSError as error:
                self.statuses.append(repr(error))
            self.ended.wait(0.02)

    def running(self) -> set[str]:
        """The containers of its revisions that run."""
        found = running_kits(self.home)
        return {item.name for item in found if item.name.startswith(self.name) and not item.exit}


@pytest.fixture(scope="module")
def web(tmp_path_factory, home_with_files, unique) -> Iterator[Web]:
    """A deployment whose first revision is up."""
    import socket  # noqa: PLC0415

    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    folder = tmp_path_factory.mktemp("deployment")
    found = Web(home_with_files(folder / "home"), folder, unique("d")[-40:].strip("-"), port)
    before = engine_tags()
    try:
        found.up(found.kit("1.0.0"), reason="the first")
        yield found
    finally:
        down(found.name, this_site(found.home, Heard()), purge=True, wait=True)
        left = engine_tags() - before
        remove_tags({tag for tag in left if tag.partition(":")[0] == "mealkit-run/rake"})


def test_a_deployment_is_upgraded_and_rolled_back_under_load(web):
    """Good revisions take over, bad ones never do, and every request is answered."""
    caller = threading.Thread(target=web.ask_all_the_time)
    caller.start()
    try:
        web.up(web.kit("1.1.0"), watch=WatchLimits(seconds=1))
        bad = ("Keyword(keyword, score) for", "Keyword(keyword, score + 1) for")
        with pytest.raises(DeploymentError) as caught:
            web.up(web.kit("1.2.0", bad))
        problem = caught.value.problems[0]
        assert "the gate claims: chapters-abstract fails" in problem.message
        assert problem.owner is Owner.KIT_AUTHOR
        assert problem.measured
        assert problem.required
        hungry = ("    def load(self, models: Path) -> None:\n", "")
        greedy = f"{hungry[0]}        self.waste = bytearray(b'x') * 2**40\n"
        with pytest.raises(DeploymentError) as caught:
            web.up(web.kit("1.3.0", (hungry[0], greedy)))
        assert "the gate readiness" in caught.value.problems[0].message
        rollback(RollbackRequest(web.name), this_site(web.home, Heard()))
    finally:
        web.ended.set()
        caller.join()
    assert set(web.statuses) == {200}
    assert web.running() == {f"{web.name}-r1"}
    kinds = [str(item.kind) for item in DeploymentFiles(web.home, web.name).events()]
    assert kinds == [
        *("asked", "moved", "serves") * 2,
        *("asked", "rolled back") * 2,
        *("asked", "moved", "serves"),
    ]


def test_what_stop_logs_and_test_do_with_a_deployment(web):
    """Its name has the log and the cases of the revision that serves; stop names down."""
    *_, last = read_logs(web.name, follow=False, tail=5, home=web.home)
    assert "event" in json.loads(last)
    arguments = ["--home", str(web.home.root), "test", web.name, "--cases-only"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    for name in (web.name, *web.running()):
        with pytest.raises(MealkitError, match=f"belongs to the deployment {web.name}"):
            stop_kit(name, timeout_seconds=1, home=web.home)
    assert len(web.running()) == 1


def test_status_repairs_what_a_lost_machine_left(web):
    """Everything was killed, the front as well: the same revision answers at the same address."""
    (serving,) = web.running()
    with DockerClient().connected("kill the deployment") as sdk:
        for name in (serving, f"mealkit-front-{web.name}"):
            sdk.containers.get(name).kill()
    (found,) = statuses(web.name, this_site(web.home, Heard()))
    assert found.health == "ready"
    assert found.deployment.url == f"http://127.0.0.1:{web.port}"
    assert web.running() == {serving}
    with DockerClient().connected("read a policy") as sdk:
        policy = sdk.containers.get(serving).attrs["HostConfig"]["RestartPolicy"]
    assert policy["Name"] == "unless-stopped"
