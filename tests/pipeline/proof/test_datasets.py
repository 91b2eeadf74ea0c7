"""The data of an image's claims is found again: in the kit, in the image, or at its source."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.hub_server import HubServer
from fakes.little import OFFLINE, Heard, edit_kit, little_kit

from mealkit.assembly.lean import layer_kind, lean_image
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.listed_files import listed_files
from mealkit.pipeline.disk.pruning import prune
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import BuildReport, build_kit, render_kit
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.opening_images import open_image
from mealkit.pipeline.proof.datasets import dataset_paths
from mealkit.pipeline.proof.files_of_cases import folder_of_cases
from mealkit.pipeline.proof.recipe_to_test import RecipeToTest
from mealkit.plan.layers import LayerKind
from mealkit.recipe.claims import LockedDataset
from mealkit.stores.local import LocalStore

pytestmark = pytest.mark.xdist_group("datasets")

ROWS = b'{"first": "a", "second": "b", "expected": 1}\n'
LOCAL = {"source": "folder", "path": "data", "files": ["*.jsonl"]}


@dataclass(frozen=True)
class KitWithData:
    """A kit with two files of data in its folder, its home, and its image in a layout."""

    kit: Path
    home: Home
    report: BuildReport
    layout: Path


def _built(kit, home, outputs=None, taken=Taken.REFUSED):
    return build_kit(
        kit,
        frozen=False,
        outputs=outputs or Outputs(),
        home=home,
        progress=Heard(),
        taken=taken,
    )


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """One build for the tests that read it; what they write is elsewhere."""
    folder = tmp_path_factory.mktemp("tested")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit")
        (kit / "data").mkdir()
        (kit / "data" / "pairs.jsonl").write_bytes(ROWS)
        (kit / "data" / "corpus.jsonl").write_bytes(ROWS * 40_000)
        edit_kit(kit, lambda form: form.update(datasets={"sts": LOCAL}))
        home = home_at(folder / "home")
        report = _built(kit, home, Outputs(output=[f"oci:{folder / 'layout'}"]))
        yield KitWithData(kit, home, report, folder / "layout")


def data_layers(image):
    return [layer for layer in image.layers if layer_kind(layer) == LayerKind.DATASETS]


def test_local_data_travels_in_the_image(tested, tmp_path):
    """The kit's folder gives the files in place; without it, a machine takes them from the image."""
    kit = open_kit(tested.kit, tested.home)
    paths = dataset_paths(kit.lock, kit, tested.home, Heard())
    assert paths == {
        "sts/corpus.jsonl": tested.kit / "data" / "corpus.jsonl",
        "sts/pairs.jsonl": tested.kit / "data" / "pairs.jsonl",
    }

    elsewhere = home_at(tmp_path / "elsewhere")
    with open_image(f"oci:{tested.layout}", elsewhere) as image:
        (layer,) = data_layers(image)
        assert data_layers(lean_image(image)) == [layer]
        named = [path for path in listed_files([layer]) if path.endswith(b".jsonl")]
        assert sorted(named) == [
            b"opt/mealkit/datasets/sts/corpus.jsonl",
            b"opt/mealkit/datasets/sts/pairs.jsonl",
        ]
        found = dataset_paths(lock_of(image), image, elsewhere, Heard())
    assert {name: path.read_bytes() for name, path in found.items()} == {
        "sts/corpus.jsonl": ROWS * 40_000,
        "sts/pairs.jsonl": ROWS,
    }
    assert tested.report.digest == image.digest


def test_data_from_elsewhere_is_fetched_and_kept_while_its_image_is(
    kit, home, build, tmp_path, monkeypatch
):
    """It is not in the image unless the kit asks for it; pruning keeps it for the next test."""
    with HubServer() as server:
        server.add("pairs.jsonl", ROWS)
        entry = {"source": "http", "url": f"{server.url}/plain", "files": ["pairs.jsonl"]}
        edit_kit(kit, lambda form: form.update(datasets={"sts": entry}))
        report = build(kit)
    image = LocalStore(home.store).image(str(report.digest))
    assert data_layers(image) == []
    prune(damaged=False, nameless=True, home=home, progress=Heard())
    lock = lock_of(image)
    found = dataset_paths(lock, image, home, Heard())
    assert found["sts/pairs.jsonl"].read_bytes() == ROWS

    with pytest.raises(MealkitError) as caught:
        dataset_paths(lock, image, home_at(tmp_path / "elsewhere"), Heard())
    (problem,) = caught.value.problems
    assert problem.code == "DATASET_MISSING"
    assert problem.message.startswith("sts/pairs.jsonl is neither in the image")

    edit_kit(kit, lambda form: form.update(tests_in_image=True))
    report = build(kit, again=True)
    whole = LocalStore(home.store).image(str(report.digest))
    assert len(data_layers(whole)) == 1
    elsewhere = home_at(tmp_path / "elsewhere")
    assert dataset_paths(lock_of(whole), whole, elsewhere, Heard())["sts/pairs.jsonl"].is_file()


def test_data_that_is_nowhere_leaves_the_other_claims_their_data(tested, tmp_path):
    """A notice names the file; only the claims that need it are not judged."""
    home, heard = home_at(tmp_path / "elsewhere"), Heard()
    with open_image(f"oci:{tested.layout}", home) as image:
        lock = lock_of(image)
        change = {"path": "gone/rows.jsonl", "sha256": Digest.of(b"gone"), "origins": ()}
        gone = LockedDataset(files=(lock.datasets["sts"].files[0].model_copy(update=change),))
        more = lock.model_copy(update={"datasets": {"gone": gone, **lock.datasets}})
        found = RecipeToTest(more, image).data(home, heard)
    assert sorted(found) == ["sts/corpus.jsonl", "sts/pairs.jsonl"]
    assert [notice.code for notice in heard.notices] == ["DATASET_MISSING"]


def test_a_rendered_context_has_the_data(tested, tmp_path):
    """``docker build`` places the same files, and the Dockerfile states their digests."""
    render_kit(tested.kit, tmp_path / "context", frozen=True, home=tested.home, progress=Heard())
    (path,) = (tmp_path / "context").rglob("pairs.jsonl")
    assert path.read_bytes() == ROWS
    text = (tmp_path / "context" / "Dockerfile").read_text()
    assert f"/opt/mealkit/datasets/sts/pairs.jsonl  {Digest.of(ROWS)}" in text


HANDLER = """
from pathlib import Path


class Reader:
    def predict(self, page: Path) -> str:
        return page.name
"""


def test_the_files_of_cases_travel_in_the_image(kit, home, build, tmp_path):
    """They are pinned by digest, an edit is drift, and two cases may name the same file."""
    (kit / "pages").mkdir()
    (kit / "pages" / "a.png").write_bytes(b"\x89PNG\r\n")
    (kit / "handler.py").write_text(HANDLER)
    case = {"request": {"input": {}}, "files": {"page": "pages/a.png"}}
    runtime = {"engine": "python", "settings": {"handler": "handler.py:Reader"}}

    def change(form):
        form["model"]["task"] = "prediction"
        form["runtime"] |= {**runtime, "code": ["handler.py"]}
        form["cases"] = [{"name": "one", **case}, {"name": "two", **case}]
        del form["hyperparameters"], form["prompts"]

    edit_kit(kit, change)
    report = build(kit)
    image = LocalStore(home.store).image(str(report.digest))
    (layer,) = data_layers(image)
    assert layer.created_by == "mealkit: datasets: files of cases"
    assert b"opt/mealkit/cases/pages/a.png" in listed_files([layer])
    (file,) = lock_of(image).case_files
    assert (file.path, file.sha256) == ("pages/a.png", Digest.of(b"\x89PNG\r\n"))

    folder = folder_of_cases(lock_of(image), image, home_at(tmp_path / "elsewhere"))
    assert (folder / "pages" / "a.png").read_bytes() == b"\x89PNG\r\n"
    opened = open_kit(kit, home)
    assert folder_of_cases(opened.lock, opened, home) == kit
    assert folder_of_cases(opened.lock, None, home) is None

    (kit / "pages" / "a.png").write_bytes(b"other")
    changes = [change.path for change in open_kit(kit, home).drift]
    assert changes == [f"case_files.pages/a.png.{name}" for name in ("sha256", "size_bytes")]


def test_an_image_with_other_data_than_its_lock_is_refused(tested, tmp_path):
    """The bytes are compared with the lock before they are used."""
    image = LocalStore(tested.home.store).image(str(tested.report.digest))
    lock = lock_of(image)
    (dataset,) = lock.datasets.values()
    other = [file.model_copy(update={"sha256": Digest.of(b"other")}) for file in dataset.files]
    changed = {"sts": dataset.model_copy(update={"files": tuple(other)})}
    with pytest.raises(MealkitError) as caught:
        dataset_paths(
            lock.model_copy(update={"datasets": changed}),
            image,
            home_at(tmp_path / "elsewhere"),
            Heard(),
        )
    (problem,) = caught.value.problems
    assert problem.code == "BLOB_DAMAGED"
    assert problem.required == Digest.of(b"other")


def test_an_edit_of_the_data_changes_its_layer_and_the_kits_alone(tested, tmp_path):
    """Data is drift of the lock; the recipe, the weights and the packages stay what they were."""
    kit = tmp_path / "kit"
    shutil.copytree(tested.kit, kit)
    (kit / "data" / "pairs.jsonl").write_bytes(ROWS.replace(b'"a"', b'"c"'))
    changes = [change.path for change in open_kit(kit, tested.home).drift]
    assert changes == ["datasets.sts.files.sts/pairs.jsonl.sha256"]
    after = _built(kit, tested.home, taken=Taken.REPLACED)
    assert after.recipe == tested.report.recipe
    changed = {row.kind for row in after.images[0].layers if not row.reused}
    assert changed == {"datasets", "kit"}
