"""What lies on a disk is hashed again, and the first file that differs is named."""

import json
import shutil

import pytest
from fakes.little import OFFLINE, Heard, little_kit

from mealkit.errors import MealkitError
from mealkit.pipeline.audit.rehashing import rehash
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.recipe.lock import read_lock
from mealkit.stores.layout import read_layout

pytestmark = pytest.mark.xdist_group("rehashing")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A little kit, its store, a layout and an archive."""
    folder = tmp_path_factory.mktemp("rehashed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        outputs = Outputs(output=[f"oci:{folder / 'layout'}", f"oci-archive:{folder / 'a.tar'}"])
        kit, home = little_kit(folder / "kit"), home_at(folder / "home")
        report = build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
        yield folder, home, report


def only_problem(found):
    (problem,) = found.problems
    return problem


@pytest.mark.parametrize("target", ["layout", "oci:layout", "a.tar", "oci-archive:a.tar"])
def test_an_image_on_a_disk_is_read_to_the_last_byte(built, target, monkeypatch):
    """Every blob has its digest; a layout is also found by its path alone."""
    folder, home, report = built
    monkeypatch.chdir(folder)
    found = rehash(target, home)
    assert (found.pinned_by, found.problems, found.files) == (report.digest, (), 6)


def test_a_layout_with_signatures_beside_its_image_is_read(built, tmp_path):
    """They are listed like images, with their type."""
    folder, home, report = built
    shutil.copytree(folder / "layout", tmp_path / "signed")
    index = tmp_path / "signed" / "index.json"
    form = json.loads(index.read_text())
    extra = {**form["manifests"][0], "digest": f"sha256:{'0' * 64}", "artifactType": "a/b"}
    index.write_text(json.dumps({**form, "manifests": [*form["manifests"], extra]}))
    assert rehash(str(tmp_path / "signed"), home).pinned_by == report.digest


def test_a_flipped_byte_in_a_layout_is_named_by_its_file(built, tmp_path):
    """Of a layer of weights the file is named, because the lock has its digest."""
    folder, home, _ = built
    shutil.copytree(folder / "layout", tmp_path / "bad")
    image = read_layout(folder / "layout")
    weights = image.layers[2].blob.digest
    blob = tmp_path / "bad" / "blobs" / "sha256" / weights.hex
    data = bytearray(blob.read_bytes())
    data[100_000] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    found = only_problem(rehash(str(tmp_path / "bad"), home))
    assert found.code == "BLOB_DAMAGED"
    pinned = next(
        file.sha256
        for file in read_lock((folder / "kit" / "kit.lock").read_bytes()).model.files
        if file.path == "model.safetensors"
    )
    assert "in it, models/model.safetensors is sha256:" in found.message
    assert found.message.endswith(f"not {pinned}")


def test_the_image_in_the_store_is_hashed_with_the_files_that_its_weights_are(built):
    """A layer of weights is a file elsewhere; one that changed is told by its path."""
    folder, home, report = built
    assert rehash("little:1.0.0", home).problems == ()
    weights = folder / "kit" / "weights" / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + b"x")
    found = only_problem(rehash(str(report.digest), home))
    weights.write_bytes(before)
    assert str(weights) in found.message


@pytest.mark.parametrize("against", ["kit", "kit/kit.lock", "little:1.0.0", "oci:layout"])
def test_a_folder_of_weights_is_compared_with_a_lock(built, against, monkeypatch):
    """The lock may be a kit's, a file, or inside an image."""
    folder, home, report = built
    monkeypatch.chdir(folder)
    found = rehash(str(folder / "kit" / "weights"), home, against=against)
    assert (found.pinned_by, found.problems, found.files) == (report.recipe, (), 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: (weights / "config.json").write_text("{}"), "config.json: expected sha"),
        (lambda weights: (weights / "config.json").unlink(), "found no such file"),
        (
            lambda weights: (weights / "added.json").write_text("{}"),
            "added.json: expected no such file, found a file",
        ),
    ],
)
def test_the_first_file_of_weights_that_differs_is_named(built, tmp_path, change, said):
    """Changed, missing, or one that the lock does not have: an engine could load it."""
    folder, home, _ = built
    shutil.copytree(folder / "kit" / "weights", tmp_path / "weights")
    change(tmp_path / "weights")
    lock = str(folder / "kit" / "kit.lock")
    found = only_problem(rehash(str(tmp_path / "weights"), home, against=lock))
    assert found.code == "CONTENT_DIFFERS"
    assert said in found.message


def test_what_weights_should_be_has_to_be_stated(built):
    """A folder has no lock in it."""
    folder, home, _ = built
    with pytest.raises(MealkitError) as raised:
        rehash(str(folder / "kit" / "weights"), home)
    assert raised.value.problems[0].code == "USAGE"


def test_what_cannot_be_hashed_here_is_said(built):
    """A kit's folder is neither an image nor weights."""
    folder, home, _ = built
    with pytest.raises(MealkitError) as raised:
        rehash(str(folder / "kit"), home)
    assert raised.value.problems[0].code == "TARGET_UNFIT"
