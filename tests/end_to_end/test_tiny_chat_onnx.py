"""The chat kit on onnxruntime: from its committed lock to answers that the numpy Llama gives too."""

import runpy
import shutil
from pathlib import Path

import pytest
from end_to_end.test_tiny_chat import assert_answers
from fakes.little import Heard, edit_kit
from fakes.promises import assert_kept, failed_names, measured
from fakes.served import ROOT
from fakes.written_kits import assert_runs, written_kit

from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs

KIT = ROOT / "kits" / "tiny-chat-onnx"
MODEL = ROOT / "kits" / "tiny-llama"

pytestmark = pytest.mark.xdist_group("tiny-chat-onnx")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the kit beside a copy of its model."""
    folder = tmp_path_factory.mktemp("chat")
    shutil.copytree(MODEL, folder / MODEL.name)
    shutil.copytree(KIT, folder / KIT.name)
    return folder / KIT.name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Home:
    """A home that has fetched what it needs before, and built nothing."""
    made: Home = home_with_files(tmp_path_factory.mktemp("chat-home") / "home")
    return made


def test_the_graph_is_what_its_script_writes(tmp_path, capsys):
    """Graph and description come from the model's own files, byte for byte, and hold no weight."""
    main = runpy.run_path(str(KIT / "make_graph.py"))["main"]
    assert main([str(MODEL), str(tmp_path)]) == 0
    capsys.readouterr()
    for path in (KIT / "graph").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert (KIT / "graph" / "model.onnx").stat().st_size < 100_000


@pytest.mark.online
@pytest.mark.docker
def test_docker_answers_as_the_arithmetic_says(kit: Path, home: Home, serve):
    """Built from the committed lock and run in docker: the numpy Llama's tokens."""
    allowed = (kit.parent / MODEL.name,)
    build_kit(kit, frozen=True, outputs=Outputs(), home=home, progress=Heard(), allowed=allowed)
    assert_answers(serve(kit, home, "docker", allowed=allowed).url)


@pytest.mark.online
def test_the_sandbox_answers_the_same(kit: Path, home: Home, serve):
    """Without a container engine: the same tokens, and so the kit's claims and cases are true."""
    allowed = (kit.parent / MODEL.name,)
    url = serve(kit, home, "sandbox", allowed=allowed).url
    assert_answers(url)
    assert_kept(measured(url, kit, home, allowed))


@pytest.mark.online
def test_another_chat_template_is_noticed(kit: Path, home: Home, serve):
    """The same weights with another template around a question answer otherwise: the claim fails."""
    folder = kit.parent / "twin"
    shutil.copytree(kit.parent, folder)
    twin, model = folder / KIT.name, folder / MODEL.name
    (model / "chat_template.jinja").write_text("{{ messages[-1].content }}")
    edit_kit(twin, lambda form: form["model"]["weights"][0].pop("sha256"))
    url = serve(twin, home, "sandbox", allowed=(model,)).url
    assert failed_names(measured(url, twin, home, (model,))) >= {"likeliest-tokens", "join"}


@pytest.mark.online
def test_a_new_kit_runs_as_it_is_written(home: Home, serve, tmp_path):
    """The template for text."""
    assert_runs(written_kit(tmp_path / "chat", "onnx", "generation"), "onnx", home, serve)
