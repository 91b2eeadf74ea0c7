"""Commands of a deployment that are killed anywhere leave one whole revision with the traffic."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.deployed import FileClient, FileFront, file_site, ready_server
from fakes.kills import Nursery, nursery, points
from fakes.little import OFFLINE, edit_kit, little_kit

from mealkit.deploy.deployment import Deployment, State
from mealkit.pipeline.deployment_files import DeploymentFiles
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.operate.upgrading import repaired
from mealkit.progress import SILENT

pytestmark = pytest.mark.xdist_group("deployments")
# The suite asks about a few moments; `DEPLOYMENT_KILLS=200` about as many as are wanted.
KILLS = int(os.environ.get("DEPLOYMENT_KILLS", "20"))
UP, BACK, DOWN = (f"fakes.deployed:{name}" for name in ("bring_up", "roll_back", "take_down"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("nursery"), "fakes.deployed") as found:
        yield found


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ready_server() as server:
        yield server.port


@pytest.fixture(scope="module")
def homes(tmp_path_factory, run, port) -> dict[str, Path]:
    """A home before an upgrade to little:1.1.0, and one before a rollback from it."""
    folder = tmp_path_factory.mktemp("deployed")
    home = home_at(folder / "up")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit", weights_bytes=1600)
        for version in ("1.0.0", "1.1.0"):
            edit_kit(kit, lambda form, version=version: form.update(version=version))
            build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=SILENT)
    run.finish(UP, home.root, port, "little:1.0.0")
    back = folder / "back"
    shutil.copytree(home.root, back, symlinks=True)
    run.finish(UP, back, port, "little:1.1.0")
    return {"up": home.root, "back": back}


def checked(home: Path, port: int) -> None:
    """At the moment of a kill, new requests go to a revision that runs."""
    front, client = (
        FileFront(home / "fake-front" / "web"),
        FileClient(home / "fake-containers", port),
    )
    assert front.container in client.running()
    assert DeploymentFiles(home_at(home), "web").required()


def whole(found: Deployment, home: Path, port: int) -> None:
    """One revision runs, has the traffic, and is what the file says."""
    client = FileClient(home / "fake-containers", port)
    assert found.change is None
    assert client.running() == {f"web-r{found.serving}"}
    assert FileFront(home / "fake-front" / "web").container == f"web-r{found.serving}"
    assert [item.number for item in found.in_state(State.SERVING)] == [found.serving]
    # A kept revision is started from its image, so it needs no container.
    known = {f"web-r{item.number}" for item in found.in_state(State.KEPT)}
    assert {item.name for item in client.list()} <= known | client.running()


@pytest.mark.parametrize("verb", ["up", "back"])
def test_a_change_that_is_killed_anywhere_is_finished_or_undone(verb, run, homes, port, tmp_path):
    """The traffic is always at a revision that runs, and status makes the deployment whole."""
    work = (UP, "little:1.1.0") if verb == "up" else (BACK,)

    def arguments(home: Path) -> list[object]:
        return [home, port, *work[1:]]

    counted = tmp_path / "counted"
    shutil.copytree(homes[verb], counted, symlinks=True)
    moments = run.finish(work[0], *arguments(counted))
    for number, point in enumerate(points(moments, KILLS // 2, seed=3)):
        home = tmp_path / f"home{number}"
        shutil.copytree(homes[verb], home, symlinks=True)
        end = run.run(work[0], *arguments(home), die_at=point)
        assert end.killed or not end.error, end.error
        checked(home, port)
        if number % 2:  # the same command, or status
            run.finish(work[0], *arguments(home))
            found = DeploymentFiles(home_at(home), "web").required()
        else:
            found = repaired("web", file_site(home, port))
        whole(found, home, port)
        shutil.rmtree(home)


def test_a_repair_and_a_way_down_that_are_killed_are_repeated(run, homes, port, tmp_path):
    """After a killed down the next one finishes it, and nothing is left running."""
    counted = tmp_path / "counted"
    shutil.copytree(homes["up"], counted, symlinks=True)
    moments = run.finish(DOWN, counted, port)
    for number, point in enumerate(points(moments, max(3, KILLS // 10), seed=5)):
        home = tmp_path / f"home{number}"
        shutil.copytree(homes["up"], home, symlinks=True)
        run.run(DOWN, home, port, die_at=point)
        run.finish(DOWN, home, port)
        assert not FileClient(home / "fake-containers", port).list()
        assert DeploymentFiles(home_at(home), "web").required().serving is None
