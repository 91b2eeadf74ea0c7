"""The chat kit on torch: from its committed lock to answers that the numpy Llama gives too."""

from pathlib import Path

import pytest
from end_to_end.test_tiny_chat import assert_answers
from fakes.little import Heard
from fakes.promises import assert_kept, measured
from fakes.served import ROOT
from fakes.torch_kits import MODEL, WHEELS, copy_with_wheel, torch_wheel
from fakes.written_kits import assert_runs, assert_same_salt, written_kit

from mealkit.digest import digest_of_file
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import read_lock

KIT = ROOT / "kits" / "tiny-chat-transformers"

pytestmark = pytest.mark.xdist_group("tiny-chat-transformers")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_with_wheel(KIT, tmp_path_factory.mktemp("chat"))


def test_the_lock_pins_the_wheel_that_is_fetched():
    """The wheel is, byte for byte, the one that the lock, the script and the tests' engine name."""
    wheel = torch_wheel()
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
def test_docker_answers_as_the_arithmetic_says(kit: Path, large_home: Home, serve):
    """Built from the committed lock and run in docker: the numpy Llama's tokens."""
    allowed = (kit.parent / MODEL.name, WHEELS)
    build_kit(
        kit, frozen=True, outputs=Outputs(), home=large_home, progress=Heard(), allowed=allowed
    )
    assert_answers(serve(kit, large_home, "docker", allowed=allowed).url)


@pytest.mark.online
def test_the_sandbox_answers_the_same(kit: Path, large_home: Home, serve):
    """Without a container engine: the same tokens, and so the kit's claims and cases are true."""
    allowed = (kit.parent / MODEL.name, WHEELS)
    url = serve(kit, large_home, "sandbox", allowed=allowed).url
    assert_answers(url)
    assert_kept(measured(url, kit, large_home, allowed))


@pytest.mark.online
def test_a_new_kit_chats_as_the_example(large_home: Home, tmp_path):
    """What decides the answers of the template for text is what decides the example kit's."""
    kit = written_kit(tmp_path / "chat", "transformers", "generation")
    assert_same_salt(kit, "transformers", KIT, large_home)


@pytest.mark.online
def test_new_kits_for_other_tasks_run_as_they_are_written(large_home: Home, serve, tmp_path):
    """Locked, built and run, with the layers of the example where they are the same."""
    for task in ("embeddings", "classification", "reranking"):
        assert_runs(
            written_kit(tmp_path / task, "transformers", task), "transformers", large_home, serve
        )
