"""A front with revisions, as a deployment uses it; the revisions are a small server of the tests."""

import http.client
import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from fakes import revision_server
from fakes.container_engines import Engine
from mealkit.containers.container import LoadedImage, Mount, Restart, RunSpec
from mealkit.containers.docker import DockerClient
from mealkit.containers.front import Front
from mealkit.containers.front_spec import FrontSpec
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.front_image import open_front
from mealkit.progress import SILENT


def with_links(client: docker.DockerClient) -> str:
    """Make an image with nothing but links: the programs are this machine's, which are mounted."""
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
    said = client.api.import_image_from_data(
        packed.getvalue(),
        repository="localhost/mealkit-test-revision",
        tag=uuid.uuid4().hex,
        changes=['ENTRYPOINT ["/usr/bin/python3", "-I", "/app/server.py"]'],
    )
    return str(json.loads(said.strip().splitlines()[-1])["status"])


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

    def ask(self, path: str = "/") -> tuple[int, dict[str, Any]]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as caller:
            caller.request("GET", path)
            answer = caller.getresponse()
            return answer.status, json.loads(answer.read())

    def remove(self, target: str) -> None:
        name = target.partition(":")[0]
        self.client.stop(name, 30)
        self.client.remove(name)
        self.revisions.remove(name)


@contextmanager
def deployed(engine: Engine, home: Home) -> Iterator[Deployment]:
    client, name = engine.client(), f"test-{uuid.uuid4().hex[:8]}"
    spec = FrontSpec(name, "127.0.0.1", 0, f"mealkit-{name}")
    front = open_front(client, spec, home, SILENT)
    with closing(engine.sdk()) as sdk:
        image = with_links(sdk)
        made = Deployment(client, front, spec, home, image)
        try:
            front.ensure()
            yield made
        finally:
            for revision in made.revisions:
                client.remove(revision)
            front.remove()
            sdk.images.remove(image, force=True)
