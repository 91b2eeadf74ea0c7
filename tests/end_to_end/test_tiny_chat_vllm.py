"""The chat kit on vLLM: from its committed lock to answers that the numpy Llama gives too."""

from pathlib import Path

import pytest
from end_to_end.test_tiny_chat import MODEL, QUESTIONS, ask, greedy
from engines.numpy_llama import NumpyLlama
from fakes.little import Heard
from fakes.promises import assert_kept, measured
from fakes.served import ROOT
from fakes.torch_kits import WHEELS, copy_with_wheel
from fakes.written_kits import assert_runs, assert_same_salt, written_kit

from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import read_lock

KIT = ROOT / "kits" / "tiny-chat-vllm"

pytestmark = pytest.mark.xdist_group("tiny-chat-vllm")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_with_wheel(KIT, tmp_path_factory.mktemp("chat"))


def test_the_wheel_is_that_of_the_other_kit():
    """The script that fetches torch fetches what the transformers kit has, byte for byte."""
    for name in ("get_wheel.sh", "wheel.sha256"):
        assert (KIT / name).read_bytes() == (WHEELS.parent / name).read_bytes()
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
def test_docker_answers_as_the_arithmetic_says(kit: Path, large_home: Home, serve):
    """Built from the committed lock and run in docker, without a GPU: the numpy Llama's tokens.

    So the kit's claims and cases are true.
    """
    allowed = (kit.parent / MODEL.name, WHEELS)
    build_kit(
        kit, frozen=True, outputs=Outputs(), home=large_home, progress=Heard(), allowed=allowed
    )
    url = serve(kit, large_home, "docker", allowed=allowed).url
    model = NumpyLlama(MODEL)
    for question in QUESTIONS:
        expected, count = greedy(model, question)
        answer = ask(url, question)
        assert answer["choices"][0]["message"]["content"] == expected.decode()
        assert answer["usage"]["completion_tokens"] == count
    assert_kept(measured(url, kit, large_home, allowed))


@pytest.mark.online
def test_a_new_kit_chats_as_the_example(large_home: Home, tmp_path):
    """What decides the answers of the template for text is what decides the example kit's."""
    kit = written_kit(tmp_path / "chat", "vllm", "generation")
    assert_same_salt(kit, "vllm", KIT, large_home)


@pytest.mark.online
def test_new_kits_for_other_tasks_run_as_they_are_written(large_home: Home, serve, tmp_path):
    """Locked, built and run, with the layers of the example where they are the same."""
    kit = written_kit(tmp_path / "vectors", "vllm", "embeddings")
    assert_runs(kit, "vllm", large_home, serve)
