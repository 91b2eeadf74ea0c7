"""The socket that the revisions of a deployment share in the sandbox: who accepts its callers."""

import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.served import free_port
from runtime.conftest import GENERATION, MODEL_NAME, Running

from mealkit.containers.container import Container, Exit
from mealkit.containers.front_spec import FrontSpec
from mealkit.containers.local_door import open_door
from mealkit.containers.revision_control import CONTROL
from mealkit.containers.sandbox_front import SandboxFront
from mealkit.containers.sandbox_plan import open_listener
from mealkit.errors import DeploymentError

EVENTS = 15


@dataclass
class Processes:
    """The part of the sandbox that the front needs, over gateways that are processes of the test."""

    root: Path
    kits: dict[str, Running] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        return self.root / name

    def list(self) -> list[Container]:
        return [self.state(name) for name in self.kits]

    def state(self, name: str) -> Container:
        ended = self.kits[name].process.poll() is not None
        exit_ = Exit(0) if ended else None
        return Container(name, name, "sandbox", "kit", "", "127.0.0.1", 0, 0.0, exit=exit_)

    def stop(self, name: str, _seconds: int) -> None:
        self.kits[name].process.kill()
        self.kits[name].process.wait()


@dataclass
class Deployment:
    """Two revisions, and the front that they share."""

    front: SandboxFront
    processes: Processes
    port: int
    folder: Path
    recipes: dict[str, str] = field(default_factory=dict)
    """The names of the revisions, by the digest that their answers have."""

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, caller: http.client.HTTPConnection, text: str = "hello") -> str:
        """Ask for an answer, a stream if the text says so; return the revision that gave it."""
        streams = text.startswith("slow")
        message = [{"role": "user", "content": text}]
        body = json.dumps({"model": MODEL_NAME, "messages": message, "stream": streams})
        kind = {"Content-Type": "application/json"}
        caller.request("POST", "/v1/chat/completions", body, kind)
        answer = caller.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        assert not streams or (data.endswith(b"data: [DONE]\n\n") and data.count(b"data:") > EVENTS)
        return self.recipes[answer.headers["X-Mealkit-Recipe"]]

    def ask_once(self) -> str:
        with closing(self.connection()) as caller:
            return self.ask(caller)

    def keeper(self) -> int:
        """Return the process that keeps the socket."""
        place = f"127.0.0.1 {self.port}".encode()
        (found,) = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if place in path.read_bytes().split(b"\0")
        ]
        return found


@pytest.fixture(scope="module")
def deployment(start_shared, make_api_lock, tmp_path_factory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("revisions")
    processes, port = Processes(folder), free_port()
    front = SandboxFront(
        processes, FrontSpec("web", "127.0.0.1", port, "net-web"), folder / "front"
    )
    found = Deployment(front, processes, port, folder)
    for number, name in enumerate(("web-r1", "web-r2")):
        processes.folder(name).mkdir()
        lock = make_api_lock(
            hyperparameters=GENERATION | {"seed": number}, serving={"lame_duck_seconds": 2}
        )
        environment = {"MEALKIT_CONTROL": "on"}
        with (
            open_listener("127.0.0.1", 0) as own,
            open_door(processes.folder(name), CONTROL) as control,
        ):
            kit = start_shared(lock, environment=environment, sockets=[own, control])
        processes.kits[name] = kit
    for name, kit in processes.kits.items():
        recipe = kit.wait_ready().ready().headers["X-Mealkit-Recipe"]
        found.recipes[recipe] = name
    assert len(found.recipes) == 2
    front.ensure()
    yield found
    front.remove()


@pytest.fixture
def until(deployment):
    return deployment.processes.kits["web-r1"].wait_for


@dataclass
class Load:
    """Callers that ask all the time, and which revisions answered them."""

    deployment: Deployment
    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        texts = (("hello", True), ("hello", False), (f"slow:{EVENTS}:0.02", True))
        threads = [threading.Thread(target=self._ask, args=kind) for kind in texts * 2]
        for thread in threads:
            thread.start()
        yield
        self.ended.set()
        for thread in threads:
            thread.join(60)

    def _ask(self, text: str, keeps: bool) -> None:
        caller = self.deployment.connection()
        with closing(caller):
            while not self.ended.wait(0.01):
                try:
                    self.answered[self.deployment.ask(caller, text)] += 1
                except (OSError, http.client.HTTPException, AssertionError) as error:
                    self.failed.append(repr(error))
                    caller.close()
                if not keeps:
                    caller.close()


def test_nothing_is_lost_while_the_socket_moves(deployment, until):
    """Answers, streams and kept connections go on, and end at the revision where they began."""
    front, load = deployment.front, Load(deployment)
    front.route("web-r1:8000")
    with load.running():
        for old, new in (("web-r1", "web-r2"), ("web-r2", "web-r1")):
            until(lambda old=old: load.answered[old] > 20)
            before = load.answered[new]
            front.route(f"{new}:8000")
            until(lambda old=old: not front.sessions(f"{old}:8000"))
            assert front.is_serving(f"{new}:8000")
            until(lambda new=new, before=before: load.answered[new] > before + 20)
    assert load.failed == []
    totals = front.totals("web-r1:8000")
    assert totals.answers[1] > 20
    assert totals.answers[1] == totals.requests
    assert 0 < totals.first_byte_seconds <= totals.whole_seconds


def test_a_kept_connection_ends_after_an_answer(deployment):
    """Its next request is answered by the old revision, with the word to connect anew."""
    deployment.front.route("web-r1:8000")
    with closing(deployment.connection()) as caller:
        assert deployment.ask(caller) == "web-r1"
        kept = caller.sock
        assert kept is not None
        deployment.front.route("web-r2:8000")
        assert deployment.front.sessions("web-r1:8000") >= 1
        assert deployment.ask(caller) == "web-r1"
        assert caller.sock is None
        assert deployment.ask(caller) == "web-r2"


def test_a_revision_that_is_tested_gets_no_callers(deployment):
    """It answers at its own port, and the deployment's callers reach the other one."""
    deployment.front.route("web-r2:8000")
    assert not deployment.front.is_serving("web-r1:8000")
    assert {deployment.ask_once() for _ in range(10)} == {"web-r2"}
    assert deployment.processes.kits["web-r1"].ready().status_code == 200


def test_an_engine_has_none_of_the_sockets(deployment):
    """The kit's code can neither accept callers nor obey mealkit, also after its next start."""
    deployment.front.route("web-r2:8000")
    kit = deployment.processes.kits["web-r2"]

    def sockets_of(number: int) -> set[Path]:
        return {path.readlink() for path in Path(f"/proc/{number}/fd").iterdir()}

    with deployment.front._taken() as shared:
        own = Path(f"socket:[{os.fstat(shared.fileno()).st_ino}]")
    gateway = Path(f"/proc/{kit.process.pid}/fd")
    passed = {own, *((gateway / number).readlink() for number in ("3", "4"))}
    assert len(passed & sockets_of(kit.process.pid)) == 3
    first = kit.worker_pid()
    assert not passed & sockets_of(first)
    os.killpg(first, signal.SIGKILL)
    kit.wait_for(lambda: kit.worker_pid() != first)
    assert not passed & sockets_of(kit.worker_pid())
    kit.wait_ready()


def test_callers_wait_while_no_revision_has_the_socket(deployment):
    """They are in the kernel's queue, and the next revision answers them."""
    deployment.front.route(None)
    answered: list[str] = []
    caller = threading.Thread(target=lambda: answered.append(deployment.ask_once()))
    with socket.create_connection(("127.0.0.1", deployment.port), 10) as waiting:
        caller.start()
        waiting.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deployment.front.route("web-r1:8000")
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
    caller.join(60)
    assert answered == ["web-r1"]


def test_a_killed_keeper_comes_back_with_the_same_socket(deployment, until):
    """A revision that has the socket gives a copy, so callers notice nothing."""
    deployment.front.route("web-r1:8000")
    killed = deployment.keeper()
    os.kill(killed, signal.SIGKILL)
    assert deployment.ask_once() == "web-r1"
    until(lambda: not Path(f"/proc/{killed}").exists())
    with pytest.raises(DeploymentError, match="is not kept"):
        deployment.front.is_serving("web-r1:8000")
    deployment.front.ensure()
    assert deployment.keeper() != killed
    assert deployment.front.is_serving("web-r1:8000")
    assert deployment.ask_once() == "web-r1"
    again = deployment.keeper()
    deployment.front.ensure()
    assert deployment.keeper() == again


def test_the_end_of_a_revision_gives_the_callers_to_the_next(deployment):
    """A revision that ends by itself leaves its callers in the queue; no connection is reset."""
    deployment.front.route("web-r2:8000")
    kit = deployment.processes.kits["web-r2"]
    kit.process.send_signal(signal.SIGINT)
    assert kit.wait_end() == 0
    assert deployment.front.sessions("web-r2:8000") == 0
    answered: list[str] = []
    caller = threading.Thread(target=lambda: answered.append(deployment.ask_once()))
    caller.start()
    deployment.front.route("web-r1:8000")
    caller.join(60)
    assert answered == ["web-r1"]
