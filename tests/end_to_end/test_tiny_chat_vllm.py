"""The chat kit on vLLM: from its committed lock to answers that the numpy Llama gives too."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end.test_tiny_chat import MODEL, QUESTIONS, ask, greedy
from engines.numpy_llama import NumpyLlama
from fakes.little import Heard
from fakes.served import ROOT

from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import read_lock

KIT = ROOT / "kits" / "tiny-chat-vllm"
# One copy of the wheel is enough for two kits.
TORCH = ROOT / "kits" / "tiny-chat-transformers" / "wheels"
WHEEL = TORCH / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"

pytestmark = pytest.mark.xdist_group("tiny-chat-vllm")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the kit beside a copy of its model; the wheel of torch is linked."""
    if not WHEEL.is_file():
        pytest.skip("the wheel of torch is not there: make .engines/transformers/.ready")
    folder = tmp_path_factory.mktemp("chat")
    shutil.copytree(MODEL, folder / MODEL.name)
    shutil.copytree(KIT, folder / KIT.name, ignore=shutil.ignore_patterns("wheels"))
    (folder / KIT.name / "wheels").mkdir()
    (folder / KIT.name / "wheels" / WHEEL.name).symlink_to(WHEEL)
    return folder / KIT.name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Iterator[Home]:
    """A home that has fetched what it needs before; nothing is left of the gigabytes it builds."""
    root = tmp_path_factory.mktemp("chat-home")
    yield home_with_files(root / "home")
    shutil.rmtree(root)


def test_the_wheel_is_that_of_the_other_kit():
    """The script that fetches torch fetches what the transformers kit has, byte for byte."""
    for name in ("get_wheel.sh", "wheel.sha256"):
        assert (KIT / name).read_bytes() == (TORCH.parent / name).read_bytes()
    (torch,) = [
        item
        for item in read_lock((KIT / "kit.lock").read_bytes()).engine.packages
        if item.name == "torch"
    ]
    assert torch.sha256.removeprefix("sha256:") in (KIT / "wheel.sha256").read_text()


def test_the_tests_run_what_the_kit_runs():
    """The packages that the engine is tested with have the versions that the kit pins."""
    text = (ROOT / "requirements" / "engine-vllm.txt").read_text()
    lines = [line.partition(" ")[0] for line in text.splitlines() if "==" in line]
    tested = dict(line.split("==") for line in lines)
    lock = read_lock((KIT / "kit.lock").read_bytes())
    pinned = {item.name: item.version for item in lock.engine.packages}
    assert pinned.items() <= tested.items()
    assert not pinned.keys() & set(lock.engine.excluded)


@pytest.mark.online
@pytest.mark.docker
def test_docker_answers_as_the_arithmetic_says(kit: Path, home: Home, serve):
    """Built from the committed lock and run in docker, without a GPU: the numpy Llama's tokens."""
    allowed = (kit.parent / MODEL.name, TORCH)
    build_kit(kit, frozen=True, outputs=Outputs(), home=home, progress=Heard(), allowed=allowed)
    url = serve(kit, home, "docker", allowed=allowed).url
    model = NumpyLlama(MODEL)
    for question in QUESTIONS:
        expected, count = greedy(model, question)
        answer = ask(url, question)
        assert answer["choices"][0]["message"]["content"] == expected.decode()
        assert answer["usage"]["completion_tokens"] == count
