"""The chat kit on torch: from its committed lock to answers that the numpy Llama gives too."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end.test_tiny_chat import assert_answers
from fakes.little import Heard
from fakes.served import ROOT

from mealkit.digest import digest_of_file
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import read_lock

KIT = ROOT / "kits" / "tiny-chat-transformers"
MODEL = ROOT / "kits" / "tiny-llama"
WHEEL = KIT / "wheels" / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"

pytestmark = pytest.mark.xdist_group("tiny-chat-transformers")


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel that ``make test`` has fetched."""
    if not WHEEL.is_file():
        pytest.skip("the wheel of torch is not there: make .engines/transformers/.ready")
    return WHEEL


@pytest.fixture(scope="module")
def kit(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the kit beside a copy of its model; the wheel is large, and linked."""
    folder = tmp_path_factory.mktemp("chat")
    shutil.copytree(MODEL, folder / MODEL.name)
    shutil.copytree(KIT, folder / KIT.name, ignore=shutil.ignore_patterns("wheels"))
    (folder / KIT.name / "wheels").mkdir()
    (folder / KIT.name / "wheels" / wheel.name).symlink_to(wheel)
    return folder / KIT.name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Iterator[Home]:
    """A home that has fetched what it needs before; nothing is left of the gigabyte it builds."""
    root = tmp_path_factory.mktemp("chat-home")
    yield home_with_files(root / "home")
    shutil.rmtree(root)


def test_the_lock_pins_the_wheel_that_is_fetched(wheel: Path):
    """The wheel is, byte for byte, the one that the lock, the script and the tests' engine name."""
    lock = read_lock((KIT / "kit.lock").read_bytes())
    (pinned,) = [item for item in lock.engine.packages if item.name == "torch"]
    assert (pinned.local, pinned.filename) == (True, wheel.name)
    assert pinned.sha256 == str(digest_of_file(wheel))
    hexadecimal = pinned.sha256.removeprefix("sha256:")
    assert hexadecimal in (KIT / "wheel.sha256").read_text()
    assert hexadecimal in (ROOT / "requirements" / "engine-transformers.txt").read_text()


def test_the_tests_run_what_the_kit_runs():
    """The packages that the engine is tested with have the versions that the kit pins."""
    text = (ROOT / "requirements" / "engine-transformers.txt").read_text()
    lines = [line.partition(" ")[0] for line in text.splitlines() if "==" in line]
    tested = dict(line.split("==") for line in lines)
    lock = read_lock((KIT / "kit.lock").read_bytes())
    assert {item.name: item.version for item in lock.engine.packages} == tested


@pytest.mark.online
@pytest.mark.docker
def test_docker_answers_as_the_arithmetic_says(kit: Path, home: Home, serve):
    """Built from the committed lock and run in docker: the numpy Llama's tokens."""
    allowed = (kit.parent / MODEL.name, WHEEL.parent)
    build_kit(kit, frozen=True, outputs=Outputs(), home=home, progress=Heard(), allowed=allowed)
    assert_answers(serve(kit, home, "docker", allowed=allowed).url)


@pytest.mark.online
def test_the_sandbox_answers_the_same(kit: Path, home: Home, serve):
    """Without a container engine: the same tokens."""
    assert_answers(serve(kit, home, "sandbox", allowed=(kit.parent / MODEL.name, WHEEL.parent)).url)
