"""A machine for deployments without an engine: containers and a front that are files on disk.

A container is a file, and its server is one for all, which a test starts. So a command that is
killed leaves what an engine would have: a container that was created and not started, one that
runs, a front that has one target or another. The front counts what a test says.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from fakes.little import Heard
from fakes.odd_server import Quiet
from mealkit.acceptance.target import SilentListener
from mealkit.containers.byte_connection import ByteConnection
from mealkit.containers.container import Container, Exit, Restart, RunSpec, UnpackedRoot
from mealkit.containers.container_files import ContainerContents
from mealkit.containers.front_control import NO_TOTALS, Totals
from mealkit.deploy.deployment import Deployment
from mealkit.deploy.watch import WatchLimits
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.pipeline.home import home_at
from mealkit.pipeline.operate.deployment_site import Site
from mealkit.pipeline.operate.up_request import UpRequest
from mealkit.pipeline.operate.upgrading import RollbackRequest, down, rollback, up
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.progress import Progress

Tick = Callable[[int], int]
NO_WATCH = WatchLimits(seconds=0)


class FileClient:
    """A container client whose containers are files in a folder."""

    takes = UnpackedRoot
    name = "files"

    def __init__(self, folder: Path, server_port: int) -> None:
        self.folder = folder
        self._port = server_port
        folder.mkdir(parents=True, exist_ok=True)

    def available(self) -> str | None:
        return None

    def limits(self) -> tuple[str, ...]:
        return ()

    def start(self, spec: RunSpec) -> Container:
        if self._path(spec.name).exists():
            raise failure("CONTAINER_EXISTS", f"there is a container {spec.name}")
        container = Container(
            id=spec.name,
            name=spec.name,
            client=self.name,
            kit=spec.kit,
            recipe=spec.recipe,
            address="127.0.0.1",
            port=self._port,
            started_seconds=time.time(),
            labels={**spec.labels, "memory": str(spec.memory_bytes)},
            restarts=0,
        )
        self._write(replace(container, exit=Exit(0)))  # created, as an engine does first
        self._write(container)
        return container

    def list(self) -> list[Container]:
        return [self._read(path) for path in sorted(self.folder.glob("*.json"))]

    def holder(self, name: str) -> Container | None:
        return next((item for item in self.list() if item.name == name), None)

    def state(self, name: str) -> Container:
        if not self._path(name).exists():
            raise failure("CONTAINER_NOT_FOUND", f"there is no container {name}")
        return self._read(self._path(name))

    def connection(self, name: str, seconds: float) -> ByteConnection:
        del seconds
        raise failure("CONTAINER_NOT_FOUND", f"{name} is a record, and has no connection")

    def process(self, name: str) -> int | None:
        del name
        return None

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        del name, follow, tail
        yield "the end of a log"

    def contents(self, name: str) -> AbstractContextManager[ContainerContents]:
        raise failure("CONTAINER_NOT_FOUND", f"{name} is a record, and has no files to read")

    def stop(self, name: str, timeout_seconds: int) -> Exit:
        del timeout_seconds
        self._write(replace(self.state(name), exit=Exit(0)))
        return Exit(0)

    def set_restart(self, name: str, policy: Restart) -> None:
        container = self.state(name)
        self._write(replace(container, labels={**container.labels, "restart": policy.value}))

    def start_again(self, name: str) -> None:
        """Let a container have crashed, and its restart policy start it again."""
        self._write(replace(self.state(name), restarts=1))

    def remove(self, name: str) -> None:
        self._path(name).unlink()

    def running(self) -> set[str]:
        return {item.name for item in self.list() if item.exit is None}

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, container: Container) -> None:
        write_whole(self._path(container.name), json.dumps(asdict(container)).encode())

    def _read(self, path: Path) -> Container:
        form = json.loads(path.read_text())
        ended = form.pop("exit")
        return Container(**form, exit=Exit(**ended) if ended else None)


class FileFront:
    """A front whose route is a file, and whose counts are another."""

    network = None

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self._port = port
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def port(self) -> str:
        """The port that callers reach it at."""
        return (self.folder / "runs").read_text()

    @property
    def target(self) -> str | None:
        """Where new requests go: a container and its port."""
        try:
            return (self.folder / "target").read_text() or None
        except FileNotFoundError:
            return None

    @property
    def container(self) -> str | None:
        """The container that new requests go to."""
        return self.target and self.target.partition(":")[0]

    def ensure(self) -> None:
        if (self.folder / f"taken-{self._port}").exists():
            (self.folder / "runs").unlink(missing_ok=True)  # the engine replaces a front
            raise failure("PORT_TAKEN", f"another program has the port {self._port}")
        (self.folder / "runs").write_text(str(self._port))

    def take_port(self, port: int) -> None:
        """Let another program have a port, which only the engine notices."""
        (self.folder / f"taken-{port}").touch()

    def lose(self, container: str) -> None:
        """Let a container have left the network, until it is started anew."""
        (self.folder / f"lost-{container}").touch()
        (self.folder / "target").unlink()

    def route(self, target: str | None) -> None:
        lost = self.folder / f"lost-{(target or '').partition(':')[0]}"
        if lost.exists():
            lost.unlink()
            raise failure("CONTAINER_NOT_FOUND", f"{target} does not run in the network")
        write_whole(self.folder / "target", (target or "").encode())

    def is_serving(self, target: str) -> bool:
        return self.target == target

    def sessions(self, target: str) -> int:
        del target
        return 0

    def count(self, container: str, totals: Totals) -> None:
        """Let a container have answered this; from its second reading on, if there is one."""
        (self.folder / f"{container}.counts").write_text(json.dumps(asdict(totals)))

    def totals(self, target: str) -> Totals:
        try:
            form = json.loads((self.folder / f"{target.partition(':')[0]}.counts").read_text())
        except FileNotFoundError:
            return NO_TOTALS
        return Totals(**{**form, "answers": tuple(form["answers"])})

    def remove(self) -> None:
        (self.folder / "runs").unlink(missing_ok=True)
        (self.folder / "target").unlink(missing_ok=True)


@contextlib.contextmanager
def ready_server() -> Iterator["ReadyServer"]:
    """Serve readiness for all containers of a `FileClient`."""
    with ReadyServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class ReadyServer(Quiet):
    """Answers that a container is ready, or not."""

    def __init__(self) -> None:
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Readiness)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Readiness(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        content = json.dumps({"status": "loading", "reason": "it loads"}).encode()
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def file_site(home: Path, port: int, progress: Progress | None = None) -> Site:
    """A machine whose containers and front are files below ``home``."""

    def make_front(_client: object, deployment: Deployment, _progress: object) -> FileFront:
        return FileFront(home / "fake-front" / deployment.name, deployment.port)

    client = FileClient(home / "fake-containers", port)
    return Site(home_at(home), (client,), make_front, progress or Heard())


def up_request(target: str, **more: Any) -> UpRequest:
    """An upgrade of the deployment "web" without tests and without a watch period."""
    run = RunRequest(
        target,
        port=more.pop("port", 18000),
        keys=more.pop("keys", None),
        ops=more.pop("ops", None),
        origins=more.pop("origins", ()),
        timeout_seconds=more.pop("timeout_seconds", 20.0),
    )
    return UpRequest("web", run, **{"tests": None, "watch": NO_WATCH, **more})


class _Ticking(Heard):
    """A progress each of whose phases is a moment to die at."""

    def __init__(self, tick: Tick) -> None:
        super().__init__(lambda _: tick(1))


def bring_up(tick: Tick, home: str, port: str, target: str) -> None:
    """Upgrade, as a piece of work for ``fakes.kills``."""
    up(up_request(target), file_site(Path(home), int(port), _Ticking(tick)), SilentListener())


def roll_back(tick: Tick, home: str, port: str) -> None:
    """Roll back, likewise."""
    rollback(RollbackRequest("web"), file_site(Path(home), int(port), _Ticking(tick)))


def take_down(tick: Tick, home: str, port: str) -> None:
    """Take down, likewise."""
    down("web", file_site(Path(home), int(port), _Ticking(tick)), purge=False, wait=False)
