"""The front on a real Docker: upgrades under load, kills, restarts, and what HTTP asks of it."""

import http.client
import io
import json
import os
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import docker
import docker.errors
import pytest
from fakes import revision_server
from fakes.load import Load

from mealkit.containers.container import LoadedImage, Mount, Restart, RunSpec
from mealkit.containers.docker import DockerClient
from mealkit.containers.front import Front
from mealkit.containers.front_spec import FrontSpec
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.front_image import open_front
from mealkit.progress import SILENT

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("front")]


@pytest.fixture(scope="module")
def front_home(test_cache: Path) -> Home:
    """A home whose image of the front is made once per machine."""
    return Home(test_cache / "front-home")


@pytest.fixture(scope="module")
def server_image() -> Iterator[str]:
    """An image with nothing but links: the programs are this machine's, which are mounted."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        for name in ("usr", "app", "tmp", "var/lib/mealkit"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    with closing(docker.from_env()) as client:
        said = client.api.import_image_from_data(
            packed.getvalue(),
            repository="localhost/mealkit-test-revision",
            tag=uuid.uuid4().hex,
            changes=['ENTRYPOINT ["/usr/bin/python3", "-I", "/app/server.py"]'],
        )
        image = json.loads(said.strip().splitlines()[-1])["status"]
        yield image
        client.images.remove(image, force=True)


@dataclass
class Deployment:
    """A front with revisions, as a deployment uses it."""

    client: DockerClient
    front: Front
    spec: FrontSpec
    home: Home
    image: str
    revisions: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.front.state().port

    def start(self, revision: str, restart: Restart = Restart.NO) -> str:
        """Start a revision; return its target when it listens."""
        name = f"{self.spec.name}-{revision}"
        self.client.start(
            RunSpec(
                name=name,
                kit="revision",
                recipe="sha256:0",
                content=LoadedImage(self.image),
                container_port=8000,
                environment={"REVISION": revision},
                mounts=(
                    Mount(Path("/usr"), "/usr"),
                    Mount(Path(revision_server.__file__), "/app/server.py"),
                ),
                network=self.front.network,
                restart=restart,
                is_published=False,
            )
        )
        self.revisions.append(name)
        return f"{name}:8000"

    def ask(self, path: str = "/", method: str = "GET", **options) -> tuple[int, dict]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as caller:
            caller.request(method, path, **options)
            answer = caller.getresponse()
            return answer.status, json.loads(answer.read())

    def remove(self, target: str) -> None:
        name = target.partition(":")[0]
        self.client.stop(name, 30)
        self.client.remove(name)
        self.revisions.remove(name)


@pytest.fixture(scope="module")
def deployment(front_home: Home, server_image: str) -> Iterator[Deployment]:
    client = DockerClient()
    name = f"test-{uuid.uuid4().hex[:8]}"
    spec = FrontSpec(name, "127.0.0.1", 0, f"mealkit-{name}")
    front = open_front(client, spec, front_home, SILENT)
    made = Deployment(client, front, spec, front_home, server_image)
    front.ensure()
    yield made
    for revision in made.revisions:
        client.remove(revision)
    front.remove()


@pytest.fixture(scope="module")
def first(deployment: Deployment) -> str:
    """The target of a revision that runs as long as the tests, and gets the requests at first."""
    target = deployment.start("one")
    deployment.front.route(target)
    return target


def test_no_request_is_lost_while_revisions_are_replaced(deployment, first, until):
    """Callers that keep connections, that open new ones, and streams notice no switch."""
    switches = int(os.environ.get("MEALKIT_TEST_SWITCHES", "2"))
    load, front, target = Load("127.0.0.1", deployment.port), deployment.front, first

    def goes_on(condition) -> None:
        until(lambda: load.failed or condition())
        assert load.failed == []

    with load.running():
        for number in range(switches):
            goes_on(lambda seen=sum(load.streamed.values()): sum(load.streamed.values()) > seen + 2)
            name = f"switch-{number}"
            new = deployment.start(name)
            front.route(new)
            assert front.is_serving(new)
            goes_on(lambda name=name: load.answered[name] > 20)
            goes_on(lambda old=target: front.sessions(old) == 0)
            if target != first:
                deployment.remove(target)
            target = new
        front.route(first)
        goes_on(lambda old=target: front.sessions(old) == 0)
        deployment.remove(target)
    assert load.failed == []
    assert load.reconnected == 0
    assert all(load.answered[f"switch-{number}"] for number in range(switches))
    print(f"{sum(load.answered.values())} answers, {sum(load.streamed.values())} streams")
