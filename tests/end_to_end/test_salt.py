"""One pinned value of a real kit is changed at a time: a claim or a case notices each change."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes.graphs import int8_weights
from fakes.little import Heard, edit_kit
from fakes.served import ROOT, Demo

from mealkit.acceptance.salt_report import SaltReport
from mealkit.acceptance.target import SilentListener
from mealkit.pipeline.machine.clients import running_kits
from mealkit.pipeline.proof.salting import SaltRequest, salt_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.stores.local import LocalStore

KIT = ROOT / "kits" / "sbert-minilm"
CHANGES = (
    "hyperparameters.pooling",
    "hyperparameters.max_length",
    "prompts.opening",
    "runtime.settings.graph",
    "runtime.settings.graph=missing.onnx",
)
INTERRUPTED_AT = 3

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("salt")]


class Interrupted(Heard):
    """A progress whose user presses Ctrl-C at one of the changes."""

    def __init__(self) -> None:
        super().__init__(self._interrupt)

    @staticmethod
    def _interrupt(title: str) -> None:
        if title.startswith(f"change {INTERRUPTED_AT} of"):
            raise KeyboardInterrupt


def salted_copy(folder: Path, minilm_files: Path) -> Path:
    """Copy the kit, with a prompt, a second graph with int8 weights, and cases about both."""
    shutil.copytree(KIT, folder)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        shutil.copyfile(minilm_files / name, folder / "graph" / name)
    (folder / "graph" / "int8.onnx").write_bytes(int8_weights(folder / "graph" / "model.onnx"))
    first = json.loads((folder / "data" / "vectors.jsonl").read_text().splitlines()[0])
    opening, _, rest = first["text"].partition(" ")
    (folder / "prompts").mkdir()
    (folder / "prompts" / "opening.jinja").write_text(f"{opening} {{{{ text }}}}")

    def change(form: dict[str, Any]) -> None:
        files = ["config.json", "int8.onnx", "model.onnx", "model.safetensors", "tokenizer.json"]
        form["model"]["weights"] = [{"source": "folder", "path": "graph", "files": files}]
        form["prompts"] = {"opening": {"file": "prompts/opening.jinja", "variables": ["text"]}}
        form["claims"] = [item for item in form["claims"] if item["name"] == "published-vectors"]
        expect = [{"cosine": first["vector"], "at_least": 0.99999}]
        form["cases"] = [
            {"name": "prompt", "request": {"input": rest, "prompt": "opening"}, "expect": expect},
            {"name": "any", "request": {"input": "x"}, "expect": [{"schema": {"type": "array"}}]},
        ]

    edit_kit(folder, change)
    return folder


@pytest.fixture(scope="module")
def heard() -> Heard:
    """What the second run says."""
    return Heard()


@pytest.fixture(scope="module")
def before(demo: Demo) -> set[Path | str]:
    """The unpacked roots, and the digests of images without a name, of other tests."""
    return left_in(demo)


def left_in(demo: Demo) -> set[Path | str]:
    images = LocalStore(demo.home.store).images()
    return {*demo.home.roots.glob("*"), *(item.digest for item in images if not item.names)}


@pytest.fixture(scope="module")
def report(
    demo: Demo,
    before: set[Path | str],
    heard: Heard,
    tmp_path_factory: pytest.TempPathFactory,
    minilm_files: Path,
) -> SaltReport:
    """The report of a run that was interrupted at its third change, and continued.

    The home has the kit's own layers, of which all but the smallest are also these kits'.
    """
    home = demo.home
    kit = salted_copy(tmp_path_factory.mktemp("kit") / "sbert-minilm", minilm_files)
    request = SaltRequest(RunRequest(str(kit), client="sandbox"), CHANGES)
    with pytest.raises(KeyboardInterrupt):
        salt_kit(request, home, Interrupted(), SilentListener())
    return salt_kit(request, home, heard, SilentListener())


@pytest.mark.parametrize(
    ("number", "changed", "noticed"),
    [
        pytest.param(0, "cls", ("published-vectors", "prompt"), id="wrong pooling"),
        pytest.param(1, 128, ("published-vectors",), id="truncation at 128"),
        pytest.param(2, "{{ text }}", ("prompt",), id="another prompt"),
        pytest.param(3, "int8.onnx", ("published-vectors", "prompt"), id="int8 instead of float"),
    ],
)
def test_a_broken_kit_is_noticed(
    number: int, changed: Any, noticed: tuple[str, ...], report: SaltReport
):
    """Each changed value makes the claim or the case fail that is about it."""
    outcome = report.outcomes[number]
    assert outcome.change.changed == changed
    assert outcome.noticed_by == noticed
    assert not report.failing


def test_a_kit_that_does_not_start_is_a_result(report: SaltReport):
    """It is said with the problem, and the run goes on."""
    refusal = report.outcomes[4].refusal
    assert refusal
    assert refusal.code == "WEIGHTS_MISSING"


def test_a_case_that_accepts_every_answer_is_weak(report: SaltReport):
    """None of the changes makes it fail, so it would not notice a broken kit."""
    assert report.weak == ("any",)


def test_an_interrupted_run_continues(report: SaltReport, heard: Heard):
    """What was measured before Ctrl-C is not measured again."""
    assert len(report.outcomes) == len(CHANGES)
    assert "continuing an interrupted run with 2 results" in heard.phases
    made = [title for title in heard.phases if title.startswith("change ")]
    assert len(made) == len(CHANGES) - 2


def test_nothing_is_left_of_the_changed_kits(
    report: SaltReport, demo: Demo, before: set[Path | str]
):
    """No container, image, unpacked root or record of the run."""
    assert report.outcomes
    assert not [item for item in running_kits(demo.home) if item.kit.endswith("-salt")]
    assert left_in(demo) == before
    assert not list((demo.home.root / "salt").iterdir())
