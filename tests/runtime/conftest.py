"""A kit's container half as a real process on loopback, over a lock made by hand."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fakes.served import need

import mealkit
from mealkit.digest import Digest
from mealkit.engines.registry import recipe_of
from mealkit.recipe.kit import Architecture, Contact, Feature, Gpu, Override, Task
from mealkit.recipe.lock import (
    Lock,
    LockedEngine,
    LockedGateway,
    LockedModel,
    LockedRuntime,
    ModelShape,
    lock_bytes,
)
from mealkit.recipe.lock_records import About, LockedPrompt, Requests
from mealkit.recipe.locked_base import LockedImageBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.requirements import Requirements
from mealkit.recipe.serving_settings import Serving
from mealkit.recipe.system_prompt import SystemPrompt

MODEL_NAME = "stand-in"
WEIGHTS = {"model.bin": bytes(range(256)) * 40_000, "sub/tokenizer.json": b"{}"}
LIBRARY = Path(mealkit.__file__).parent.parent
STANDIN = Path(__file__).parent / "standin"
# Torch takes a minute to load on a busy machine.
PATIENCE_SECONDS = 480.0
GENERATION = {
    "max_length": 64,
    "max_tokens": 32,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": 7,
    "stop": ["END"],
    "chat_template": "model",
    "tool_calls": "none",
    "overlong": "refuse",
}
# Passes sockets as systemd and the sandbox do, to the command after ``--``.
PASSING = """
import fcntl, os, sys
end = sys.argv.index("--")
passed = [int(number) for number in sys.argv[1:end]]
moved = [fcntl.fcntl(number, fcntl.F_DUPFD, 64) for number in passed]
for number in passed:
    os.close(number)
for place, number in enumerate(moved, 3):
    os.dup2(number, place)
    os.close(number)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""
# What a lock always has for these tasks.
DEFAULTS = {Task.GENERATION: GENERATION, Task.PREDICTION: {"seed": 3}}
_NOTHING = Digest.of(b"")


def _make_lock(
    serving: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    gpu: Gpu = Gpu.NONE,
    worker: str = "standin_worker:StandIn",
    hyperparameters: dict[str, Any] | None = None,
    weights: dict[str, bytes] = WEIGHTS,
    overrides: dict[str, Any] | None = None,
    task: Task = Task.EMBEDDINGS,
    features: frozenset[Feature] = frozenset(),
    prompts: dict[str, tuple[str, tuple[str, ...]]] | None = None,
    engine: str = "onnx",
    environment: Mapping[str, str] | None = None,
    system_prompt: dict[str, Any] | None = None,
) -> Lock:
    files = tuple(
        LockedFile(
            path=path,
            sha256=Digest.of(data),
            size_bytes=len(data),
            format="text",
            origins=(),
        )
        for path, data in sorted(weights.items())
    )
    return Lock(
        mealkit_version="0.1.0",
        about=About(
            name="kit",
            version="1.0",
            license="Apache-2.0",
            owner=Contact(team="authors", contact="mailto:authors@example.invalid", support="9-5"),
        ),
        model=LockedModel(
            name=MODEL_NAME,
            license="MIT",
            task=task,
            files=files,
            shape=ModelShape(),
        ),
        prompts={
            name: LockedPrompt(
                file=f"{name}.jinja",
                sha256=Digest.of(text.encode()),
                text=text,
                variables=variables,
            )
            for name, (text, variables) in (prompts or {"query": ("hello", ())}).items()
        },
        system_prompt=(
            SystemPrompt.model_validate_json(json.dumps(system_prompt)) if system_prompt else None
        ),
        code={},
        hyperparameters=hyperparameters or {"max_length": 16},
        overrides={name: Override(**bounds) for name, bounds in (overrides or {}).items()},
        engine=LockedEngine(
            name=engine,
            worker=worker,
            settings=settings or {},
            features=tuple(sorted(features)),
            environment={"TELEMETRY": "off", **(environment or {})},
            packages=(),
        ),
        gateway=LockedGateway(packages=()),
        runtime=LockedRuntime(
            base=LockedImageBase(name="base", digest=_NOTHING, size_bytes=0),
            python="3.13",
            interpreter="/usr/bin/python3.13",
            architecture="amd64",
        ),
        requirements=Requirements(
            architectures=(Architecture.AMD64, Architecture.ARM64),
            gpu=gpu,
            memory_bytes=1024,
            disk_bytes=1024,
            weights_bytes=1024,
        ),
        # Most tests stop a kit that no load balancer knows.
        serving=Serving(**({"lame_duck_seconds": 0} | (serving or {}))),
        requests=Requests(weights=_NOTHING, packages=_NOTHING, gateway=_NOTHING, base=_NOTHING),
    )


def _make_api_lock(task: Task = Task.GENERATION, **changes: Any) -> Lock:
    values: dict[str, Any] = {
        "worker": "standin_server:StandInServer",
        "task": task,
        "features": frozenset({Feature.CHAT, Feature.COMPLETION, Feature.TOKENS}),
    }
    if task in DEFAULTS:
        values["hyperparameters"] = DEFAULTS[task]
    return _make_lock(**(values | changes))


@dataclass
class Running:
    """A running container half."""

    process: subprocess.Popen[str]
    client: httpx2.Client
    root: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Return the first true value; fail if there is none for long."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if found := what():
                return found
            time.sleep(0.005)
        raise AssertionError(f"waited in vain; the log: {self.raw[-20:]}")

    def ready(self) -> httpx2.Response:
        return self.client.get("/v1/health/ready")

    def wait_ready(self) -> "Running":
        self.wait_for(lambda: self.ready().status_code == 200)
        return self

    def wait_status(self, status: str) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            body = self.ready().json()
            return body if body["status"] == status else None

        return self.wait_for(seen)

    def embed(self, text: Any, **more: Any) -> httpx2.Response:
        return self.client.post("/v1/embeddings", json={"model": MODEL_NAME, "input": text, **more})

    def chat(self, text: str, **more: Any) -> httpx2.Response:
        messages = [{"role": "user", "content": text}]
        body = {"model": MODEL_NAME, "messages": messages, **more}
        return self.client.post("/v1/chat/completions", json=body)

    def post(self, path: str, **values: Any) -> httpx2.Response:
        return self.client.post(path, json={"model": MODEL_NAME, **values})

    def asked(self, **values: Any) -> dict[str, Any]:
        """Return what the worker is asked for a chat."""
        return json.loads(self.chat("echo", **values).json()["choices"][0]["message"]["content"])

    def connected(self) -> socket.socket:
        """Return a new connection, to speak HTTP on by hand."""
        base = self.client.base_url
        return socket.create_connection((base.host, base.port), PATIENCE_SECONDS)

    def gauge(self, name: str) -> float:
        """Return a metric's value; ``name`` includes its labels, if it has any."""
        lines = self.client.get("/metrics").text.splitlines()
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        return float(line.split()[1])

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == name]

    def worker_pid(self) -> int:
        return self.wait_for(lambda: self.events("worker started"))[-1]["pid"]

    def wait_end(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        self.reader.join(PATIENCE_SECONDS)
        return code

    def follow(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.raw.append(line)
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"not json": line})


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def make_shared_lock() -> Callable[..., Lock]:
    """Make a lock as ``make_lock`` does, for all tests of a module."""
    return _make_lock


@pytest.fixture
def make_lock() -> Callable[..., Lock]:
    """Make a lock: ``make_lock(serving=..., settings=..., gpu=..., worker=...)``."""
    return _make_lock


@pytest.fixture(scope="module")
def make_api_lock() -> Callable[..., Lock]:
    """Make the lock of a kit whose engine is the stand-in server: ``make_api_lock(task, ...)``."""
    return _make_api_lock


@pytest.fixture
def background() -> Iterator[Callable[..., Future[httpx2.Response]]]:
    """Run a call in a thread of its own: ``background(kit.embed, "text").result()``."""
    with ThreadPoolExecutor(16) as pool:
        yield pool.submit


def failed(kit: Running, code: str, exit_code: int) -> dict[str, Any]:
    """Check the end of a failed start; return the problem."""
    assert kit.wait_end() == exit_code
    problems = [line for line in kit.lines if "event" not in line]
    assert [line["code"] for line in problems] == [code]
    assert kit.lines[-1] == problems[0]
    assert json.loads((kit.root / "termination-log").read_text()) == problems[0]
    return problems[0]


def python_kit(make_lock: Callable[..., Lock], **changes: Any) -> Lock:
    """A lock whose worker runs handler.py:Handler, which `with_code` puts there."""
    recipe = recipe_of("python")
    settings = recipe.settings.model_validate({"handler": "handler.py:Handler"})
    values = recipe.hyperparameters[Task.PREDICTION].model_validate({"seed": 0})
    return make_lock(
        worker=recipe.worker,
        task=Task.PREDICTION,
        hyperparameters=values.model_dump(mode="json"),
        settings=settings.model_dump(mode="json"),
        engine="python",
        environment=recipe.environment,
        **changes,
    )


def with_code(text: str) -> Callable[[Path], None]:
    """Return the change that puts a text in the place of the kit's handler."""

    def place(root: Path) -> None:
        (root / "etc" / "code").mkdir()
        (root / "etc" / "code" / "handler.py").write_text(text)

    return place


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a container half: ``start(lock, change=..., environment=...)``."""
    with _starting() as launch:
        yield launch


@pytest.fixture(scope="module")
def start_shared() -> Iterator[Start]:
    """Start container halves as ``start`` does, for all tests of a module."""
    with _starting() as launch:
        yield launch


@contextmanager
def _starting() -> Iterator[Start]:
    began: list[Running] = []
    folders: list[tempfile.TemporaryDirectory[str]] = []

    def launch(
        lock: Lock | None = None,
        change: Callable[[Path], None] | None = None,
        environment: dict[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> Running:
        # Not tmp_path: a Unix socket's path may have 107 bytes.
        folder = tempfile.TemporaryDirectory(prefix="mk")
        folders.append(folder)
        root = Path(folder.name)
        for path, data in WEIGHTS.items():
            target = root / "models" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (root / "etc").mkdir()
        (root / "etc" / "kit.lock").write_bytes(lock_bytes(lock or _make_lock()))
        (root / "termination-log").touch()
        if change:
            change(root)
        command = [sys.executable, "-s", "-P", "-m", "mealkit.runtime"]
        numbers = [str(item.fileno()) for item in sockets]
        process = subprocess.Popen(
            [sys.executable, "-c", PASSING, *numbers, "--", *command] if sockets else command,
            env=_environment(root) | (environment or {}),
            pass_fds=[item.fileno() for item in sockets],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        running = Running(process, httpx2.Client(verify=False), root)
        began.append(running)
        running.follow()
        running.wait_for(lambda: running.events("listening") or process.poll() is not None)
        if listening := running.events("listening"):
            running.client = httpx2.Client(
                base_url=f"http://127.0.0.1:{listening[0]['port']}",
                timeout=PATIENCE_SECONDS,
                verify=False,  # no TLS here, and reading the system's authorities takes 40 ms
            )
        return running

    yield launch
    for running in began:
        running.client.close()
        if running.process.poll() is None:
            running.process.kill()
            # In a container they would end with the gateway, its process 1.
            for event in running.events("worker started"):
                with suppress(ProcessLookupError):
                    os.killpg(event["pid"], signal.SIGKILL)
        running.wait_end()
        assert running.process.stderr
        running.process.stderr.close()
    for folder in folders:
        folder.cleanup()


def _environment(root: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(LIBRARY),
        "SECRET_OF_THE_GATEWAY": "1",
        "MEALKIT_HOST": "127.0.0.1",
        "MEALKIT_PORT": "0",
        "MEALKIT_MODELS": str(root / "models"),
        "MEALKIT_ETC": str(root / "etc"),
        "MEALKIT_STATE": str(root / "state"),
        "MEALKIT_ENGINE_PATH": f"{LIBRARY}:{STANDIN}",
        "MEALKIT_TERMINATION_LOG": str(root / "termination-log"),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, Chromium. A process can have only one at a time, so it ends with the module."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    program = need("chromium")
    with sync_playwright() as playwright:
        # Chromium's own sandbox wants more rights than containers of tests have.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def empty_image() -> Iterator[str]:
    """An image with nothing in it: what runs there is mounted."""
    import docker  # noqa: PLC0415

    client = docker.from_env()
    name, tag = "mealkit-test-empty", uuid.uuid4().hex[:12]
    with tempfile.TemporaryFile() as archive:
        archive.write(b"\0" * 10240)
        archive.seek(0)
        client.api.import_image_from_data(archive.read(), repository=name, tag=tag)
    yield f"{name}:{tag}"
    client.images.remove(f"{name}:{tag}", force=True)
    client.close()


def container_command(image: str, root: Path, *options: str, **environment: str) -> list[str]:
    """Return what runs the container half with this Python, over the folders below ``root``."""
    library = [path for path in sys.path if path and Path(path).is_dir()]
    shown = {"/usr", "/bin", "/lib", "/lib64", sys.prefix, sys.base_prefix, str(LIBRARY), *library}
    mounts = [f"--volume={path}:{path}:ro" for path in sorted(shown) if Path(path).exists()]
    told = {
        "PYTHONPATH": ":".join([str(LIBRARY), *library]),
        "MEALKIT_MODELS": f"{root}/models",
        "MEALKIT_ETC": f"{root}/etc",
        "MEALKIT_STATE": "/state",
        "MEALKIT_ENGINE_PATH": f"{LIBRARY}:{STANDIN}",
        **environment,
    }
    variables = [f"--env={name}={value}" for name, value in told.items()]
    return [
        *("docker", "run", "--tmpfs=/tmp", *options, *mounts),
        *(f"--volume={root}:{root}:ro", *variables, image),
        *(sys.executable, "-s", "-P", "-m", "mealkit.runtime"),
    ]
