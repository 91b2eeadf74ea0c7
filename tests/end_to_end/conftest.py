"""The example kit, built once for all tests here, and what it takes to run and to ask it."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.engine_images import engine_tags, remove_tags
from fakes.little import Heard
from fakes.served import PATIENCE_SECONDS, Demo, Registry, copy_of_demo

from mealkit.errors import MealkitError
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.machine.clients import stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import RunReport, run_kit


@pytest.fixture(scope="session")
def shared_files(test_cache: Path) -> Path:
    """Verified inputs that outlive the run, so that they are fetched once per machine."""
    folder = test_cache / "home" / "files"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def home_with_files(shared_files: Path) -> Callable[[Path], Home]:
    """Make a home that has the inputs, and nothing else."""

    def make(root: Path) -> Home:
        root.mkdir(parents=True)
        (root / "files").symlink_to(shared_files)
        return home_at(root)

    return make


@pytest.fixture(scope="module")
def large_home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Iterator[Home]:
    """A home that has fetched what it needs before; nothing is left of the gigabytes it builds."""
    root = tmp_path_factory.mktemp("large")
    yield home_with_files(root / "home")
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Demo:
    """The example kit, built from its committed lock."""
    folder = tmp_path_factory.mktemp("demo")
    kit = copy_of_demo(folder / "kit")
    home = home_with_files(folder / "home")
    report = build_kit(kit, frozen=True, outputs=Outputs(), home=home, progress=Heard())
    return Demo(kit, home, report)


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Give names that no other run uses."""
    return lambda text: f"mealkit-test-{text}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def sdk() -> Iterator[Any]:
    """The engine, by its SDK."""
    import docker  # noqa: PLC0415

    client = docker.from_env(timeout=PATIENCE_SECONDS)
    yield client
    client.close()


@pytest.fixture(scope="session")
def demo_tag(demo: Demo, unique) -> Iterator[str]:
    """The example kit's image in the engine, under a name of its own."""
    import docker  # noqa: PLC0415

    from mealkit.stores.docker_load import load  # noqa: PLC0415

    tag = f"{unique('demo')}:1"
    client = docker.from_env(timeout=PATIENCE_SECONDS)
    load(demo.image, [tag], client)
    yield tag
    client.images.remove(tag, force=True)
    client.close()


@pytest.fixture
def started(sdk, unique) -> Iterator[Callable[..., Any]]:
    """Start containers with the SDK alone; they are removed at the end, however the test ends."""
    containers = []

    def start(image: str, **options: Any) -> Any:
        # The tests publish on loopback.
        options["environment"] = {"MEALKIT_AUTH": "off"} | options.get("environment", {})
        container = sdk.containers.create(image, name=unique("run"), **options)
        containers.append(container)
        container.start()
        container.reload()
        return container

    yield start
    for container in containers:
        with suppress(Exception):
            container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def serve(unique) -> Iterator[Callable[..., RunReport]]:
    """Run kits for the tests of a module; they are stopped after them.

    The images that they give the engine are taken back, unless they were there.
    """
    names: list[tuple[str, Home]] = []
    tags: set[str] = set()
    before = engine_tags()

    def start(kit: Path, home: Home, client: str, **wanted: Any) -> RunReport:
        name = unique("served")
        names.append((name, home))
        request = RunRequest(str(kit), client=client, name=name, port=0, **wanted)
        report = run_kit(request, home, Heard())
        tags.add(f"mealkit-run/{report.kit}")
        return report

    yield start
    for name, home in names:
        with suppress(MealkitError):
            stop_kit(name, timeout_seconds=10, home=home)
    remove_tags(tags & (engine_tags() - before))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open registry."""
    with Registry(tmp_path_factory.mktemp("registry") / "r") as server:
        yield server
