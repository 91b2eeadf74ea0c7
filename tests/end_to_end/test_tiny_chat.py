"""The chat kit on llama.cpp: from its committed lock to answers that the numpy Llama gives too."""

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from engines.numpy_llama import NumpyLlama
from fakes.little import Heard
from fakes.promises import assert_kept, measured
from fakes.served import ROOT
from fakes.written_kits import assert_runs, assert_same_salt, written_kit

from mealkit.digest import Digest
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import read_lock

KIT = ROOT / "kits" / "tiny-chat-llama-cpp"
MODEL = ROOT / "kits" / "tiny-llama"
WHEEL = KIT / "wheels" / "llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl"
QUESTIONS = ["What does join do?", "What does open do?", "Is 'ä' 🍲 a letter?"]

pytestmark = pytest.mark.xdist_group("tiny-chat")


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel that ``make test`` has compiled."""
    if not WHEEL.is_file():
        pytest.skip("the llama-cpp wheel is not compiled: make .engines/llama-cpp/.ready")
    return WHEEL


@pytest.fixture(scope="module")
def kit(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the kit beside a copy of its model."""
    folder = tmp_path_factory.mktemp("chat")
    shutil.copytree(MODEL, folder / MODEL.name)
    shutil.copytree(KIT, folder / KIT.name, ignore=shutil.ignore_patterns(".wheel-build"))
    return folder / KIT.name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Home:
    """A home that has fetched what it needs before, and built nothing."""
    made: Home = home_with_files(tmp_path_factory.mktemp("chat-home") / "home")
    return made


def ask(url: str, question: str, **fields: Any) -> Any:
    body = {"model": "tiny-llama", "messages": [{"role": "user", "content": question}], **fields}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def greedy(model: NumpyLlama, question: str) -> tuple[bytes, int]:
    """Return the pieces of the likeliest tokens, and how many they are with the one that ends."""
    text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    logits = model.begin(model.tokenize(text, rendered=True))
    found = b""
    for count in range(1, 129):
        token = int(logits.argmax())
        if token in model.end_ids:
            return found, count
        found += model.piece(token)
        logits = model.advance(token)
    return found, 128


def assert_answers(url: str) -> None:
    model = NumpyLlama(MODEL)
    for question in QUESTIONS:
        expected, count = greedy(model, question)
        answer = ask(url, question, logprobs=True)
        (choice,) = answer["choices"]
        assert choice["message"]["content"] == expected.decode()
        pieces = [bytes(item["bytes"]) for item in choice["logprobs"]["content"]]
        assert b"".join(pieces) == expected
        assert answer["usage"]["completion_tokens"] == count


def test_the_lock_pins_the_wheel_that_is_compiled_here(wheel: Path):
    """The compiled wheel is, byte for byte, the one that the committed lock names."""
    lock = read_lock((KIT / "kit.lock").read_bytes())
    (pinned,) = [item for item in lock.engine.packages if item.name == "llama-cpp-python"]
    assert pinned.local
    assert pinned.filename == wheel.name
    assert pinned.sha256 == str(Digest.of(wheel.read_bytes()))
    assert pinned.sha256.removeprefix("sha256:") in (KIT / "wheel.sha256").read_text()


def test_the_wheel_says_nothing_of_the_machine_that_made_it(wheel: Path):
    """No path and no name of this machine is in it, and no time but the fixed one."""
    content = wheel.read_bytes()  # stored, not compressed
    for word in (str(Path.home()), str(ROOT), "/tmp/", "zig-cc"):  # noqa: S108
        assert word.encode() not in content


@pytest.mark.online
@pytest.mark.docker
def test_docker_answers_as_the_arithmetic_says(kit: Path, home: Home, serve):
    """Built from the committed lock and run in docker: the numpy Llama's tokens, and repeatable."""
    allowed = (kit.parent / MODEL.name,)
    build_kit(kit, frozen=True, outputs=Outputs(), home=home, progress=Heard(), allowed=allowed)
    url = serve(kit, home, "docker", allowed=allowed).url
    assert_answers(url)
    drawn = {"temperature": 1.0, "seed": 11, "max_tokens": 40}
    first = ask(url, QUESTIONS[0], **drawn)["choices"]
    ask(url, QUESTIONS[1], **drawn)
    assert ask(url, QUESTIONS[0], **drawn)["choices"] == first
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(url, "word " * 600)
    problem = json.load(refused.value)["error"]
    refused.value.close()
    assert (refused.value.code, problem["code"]) == (400, "context_length_exceeded")
    assert "512" in problem["message"]


@pytest.mark.online
def test_the_sandbox_answers_the_same(kit: Path, home: Home, serve):
    """Without a container engine: the same tokens, and so the kit's claims and cases are true."""
    allowed = (kit.parent / MODEL.name,)
    url = serve(kit, home, "sandbox", allowed=allowed).url
    assert_answers(url)
    assert_kept(measured(url, kit, home, allowed))


@pytest.mark.online
def test_a_new_kit_chats_as_the_example(home: Home, tmp_path):
    """What decides the answers of the template for text is what decides the example kit's."""
    kit = written_kit(tmp_path / "chat", "llama-cpp", "generation")
    assert_same_salt(kit, "llama-cpp", KIT, home)


@pytest.mark.online
def test_new_kits_for_other_tasks_run_as_they_are_written(home: Home, serve, tmp_path):
    """Locked, built and run, with the layers of the example where they are the same."""
    kit = written_kit(tmp_path / "vectors", "llama-cpp", "embeddings")
    assert_runs(kit, "llama-cpp", home, serve)
