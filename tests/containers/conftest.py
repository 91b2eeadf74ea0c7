"""The probe (a static C program that reports its rights), and every client under one fixture."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.container_engines import ENGINES, Engine

from mealkit.containers.container import LoadedImage, Mount, RunSpec, UnpackedRoot
from mealkit.containers.sandbox import Sandbox
from mealkit.pipeline.home import Home

REPOSITORY = Path(__file__).parents[2]
ANOTHER_USER = 65531
FOLDERS = ("proc", "sys", "dev", "tmp", "models", "var/lib/mealkit", "opt/full")

# Runs one method of a sandbox and pickles what came of it.
DRIVER = """
import pickle, sys
from pathlib import Path
from mealkit.containers.sandbox import Sandbox
from mealkit.errors import MealkitError
state, method, arguments, options = pickle.load(sys.stdin.buffer)
try:
    result = getattr(Sandbox(Path(state)), method)(*arguments, **options)
    answer = ("result", list(result) if method == "logs" else result)
except MealkitError as error:
    answer = ("error", error)
pickle.dump(answer, sys.stdout.buffer)
"""


class AnotherUsersSandbox:
    """A sandbox of an unprivileged user: every call is a process of that user, which then ends."""

    name = "sandbox"
    takes = UnpackedRoot

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state_folder = home / "state"

    def __getattr__(self, method: str) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            command = as_another_user(self.home, [python_for_all(), "-c", DRIVER])
            asked = pickle.dumps((str(self.state_folder), method, arguments, options))
            done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, check=True)
            kind, value = pickle.loads(done.stdout)  # noqa: S301 - our own
            if kind == "error":
                raise value
            return value

        return call


def as_another_user(home: Path, command: list[str]) -> list[str]:
    return [
        *("setpriv", f"--reuid={ANOTHER_USER}", f"--regid={ANOTHER_USER}", "--clear-groups"),
        *("--inh-caps=-all", "env", "-i", f"PATH={os.environ['PATH']}", f"HOME={home}"),
        *(f"PYTHONPATH={REPOSITORY}", "PYTHONDONTWRITEBYTECODE=1"),
        *command,
    ]


def python_for_all() -> str:
    """An interpreter that every user may run; a developer's own may lie in a private home."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            as_another_user(Path("/"), [python, "-c", check]), check=False, capture_output=True
        )
        if tried.returncode == 0:
            return python
    pytest.skip("no Python 3.11 that another user may run")


@pytest.fixture
def told_by_another_user() -> Callable[[str, str], bytes]:
    """Run Python code with one argument as an unprivileged user; return what it prints."""

    def run(code: str, argument: str) -> bytes:
        command = as_another_user(Path("/"), [python_for_all(), "-c", code, argument])
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    return run


@pytest.fixture(scope="session")
def probe_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root file system with nothing but the probe, readable by every user."""
    root = Path(tempfile.mkdtemp(prefix="mealkit-probe-"))
    root.chmod(0o755)
    source = Path(__file__).with_name("probe.c")
    (root / "app").mkdir()
    subprocess.run(["gcc", "-O1", "-Wall", "-static", "-o", root / "app/probe", source], check=True)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    (root / "opt/full/there").write_text("already there\n")
    (root / "opt/full/link").symlink_to("there")
    (root / "leads-out").symlink_to("/etc")
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def probe_in(probe_root: Path) -> Iterator[Callable[[Engine], str]]:
    """The same root as an image in an engine, by its id: podman reads bare names differently."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(probe_root, arcname=".")
    images: dict[str, str] = {}
    with ExitStack() as stack:

        def image_in(engine: Engine) -> str:
            if engine.name not in images:
                client = stack.enter_context(closing(engine.sdk()))
                said = client.api.import_image_from_data(
                    packed.getvalue(),
                    repository="localhost/mealkit-test-probe",
                    tag=uuid.uuid4().hex,
                    changes=['ENTRYPOINT ["/app/probe"]', "LABEL dev.mealkit.kit=from-image"],
                )
                image = json.loads(said.strip().splitlines()[-1])["status"]
                stack.callback(client.images.remove, image, force=True)
                images[engine.name] = image
            return images[engine.name]

        yield image_in


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, running_engine) -> Engine:
    """Each container engine in turn."""
    return running_engine(request.param)


@pytest.fixture
def probe_image(engine: Engine, probe_in) -> str:
    """The probe in the engine."""
    return probe_in(engine)


@pytest.fixture(scope="session")
def front_home(test_cache: Path) -> Home:
    """A home whose image of the front is made once per machine."""
    return Home(test_cache / "front-home")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the unprivileged user can reach, and owns when there is one."""
    folder = Path(tempfile.mkdtemp(prefix="mealkit-home-"))
    folder.chmod(0o755)
    (folder / "weights").write_text("the weights\n")
    (folder / "weights").chmod(0o644)
    (folder / "state").mkdir(mode=0o700)
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, ANOTHER_USER, ANOTHER_USER)
    yield folder
    shutil.rmtree(folder)


# Root tries the sandbox as another user too; for everyone else it is unprivileged anyway.
CLIENTS = ["sandbox", *(["unprivileged"] if os.geteuid() == 0 else [])]


@pytest.fixture(params=[*CLIENTS, *ENGINES])
def client(
    request: pytest.FixtureRequest, running_engine, home: Path, tmp_path: Path
) -> Iterator[object]:
    """Each container client in turn; what a test leaves is removed."""
    match request.param:
        case "unprivileged":
            made: object = AnotherUsersSandbox(home)
        case "sandbox":
            made = Sandbox(tmp_path / "state")
        case name:
            made = running_engine(name).client()
    yield made
    for container in made.list():
        if container.kit == KIT:
            made.remove(container.name)


KIT = f"probe-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def spec(
    client: object,
    home: Path,
    probe_root: Path,
    probe_in,
    running_engine,
    request: pytest.FixtureRequest,
) -> RunSpec:
    """A spec that the client takes: the probe with its weights mounted."""
    if client.takes is LoadedImage:
        name = request.node.callspec.params["client"]
        content = LoadedImage(probe_in(running_engine(name)))
    else:
        content = UnpackedRoot(probe_root, ("/app/probe",))
    return RunSpec(
        name=f"mealkit-test-{uuid.uuid4().hex[:12]}",
        kit=KIT,
        recipe="sha256:" + "0" * 64,
        content=content,
        container_port=8000,
        mounts=(Mount(home / "weights", "/models/model.safetensors"),),
        memory_bytes=256 * 2**20,
        labels={"dev.mealkit.owner": "mailto:owner@example.invalid"},
    )


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of this user."""
    made = Sandbox(tmp_path / "own-state")
    yield made
    for container in made.list():
        made.remove(container.name)


@pytest.fixture
def root_spec(home: Path, probe_root: Path) -> RunSpec:
    """A spec for the sandbox."""
    return RunSpec(
        name="probe",
        kit=KIT,
        recipe="sha256:" + "0" * 64,
        content=UnpackedRoot(probe_root, ("/app/probe",)),
        container_port=8000,
        mounts=(Mount(home / "weights", "/models/model.safetensors"),),
    )


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition; the limit only bounds a failure."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture
def with_environment() -> Callable[..., RunSpec]:
    """A spec with other environment variables."""

    def change(spec: RunSpec, **environment: str) -> RunSpec:
        return replace(spec, environment=environment)

    return change
