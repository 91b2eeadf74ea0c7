"""Builds of little kits: one digest anywhere, one layer per edit, whatever the base comes from."""

import os
import shutil

import pytest
from fakes.little import Heard, base_of, edit_kit, layer_of, little_base, little_kit

from mealkit.digest import Digest
from mealkit.errors import BuildError, KitError, LockError, MealkitError
from mealkit.oci.tar import TarFile
from mealkit.oci.validate import validate
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit, render_kit
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.inspecting import images, inspect
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.opening_images import open_image
from mealkit.recipe.lock import read_lock
from mealkit.stores.archive import read_archive, write_archive
from mealkit.stores.layout import read_layout
from mealkit.stores.local import LocalStore


def changed(before, after):
    old, new = {row.digest for row in before.images[0].layers}, after.images[0].layers
    return [row.kind for row in new if row.digest not in old]


def test_a_built_image_is_valid_and_carries_its_lock(kit, home, build):
    """Every digest in it holds, and the lock inside is the kit's."""
    report = build(kit)
    image = LocalStore(home.store).image("little:1.0.0")
    assert image.digest == report.digest
    assert validate(image) == []
    assert lock_of(image).recipe == report.recipe
    assert image.labels["dev.mealkit.recipe"] == str(report.recipe)
    assert image.annotations["dev.mealkit.kit"] == "little:1.0.0"
    assert [stored.names for stored in images(home)] == [("little:1.0.0",)]


def test_a_second_build_makes_nothing(kit, build):
    """Every layer is reused, and not even the lock is asked about."""
    first, second = build(kit), build(kit)
    assert second.digest == first.digest
    assert all(row.reused for row in second.images[0].layers)


@pytest.mark.parametrize(
    ("edit", "kinds"),
    [
        (lambda kit: (kit / "prompts" / "query.jinja").write_text("q: {{ text }}"), ["kit"]),
        (
            lambda kit: edit_kit(kit, lambda form: form["hyperparameters"].update(pooling="cls")),
            ["kit"],
        ),
        (lambda kit: edit_kit(kit, lambda form: form.update(version="1.0.1")), ["kit"]),
        (
            lambda kit: (
                (kit / "weights" / "config.json").write_text("{}"),
                (kit / "kit.lock").unlink(),
            ),
            ["weights", "kit"],
        ),
    ],
)
def test_an_edit_changes_only_the_layers_it_is_about(kit, build, edit, kinds):
    """A recipe's edit changes the kit layer, a model file's its own layer as well."""
    before = build(kit)
    edit(kit)
    after = build(kit, again=True)
    assert changed(before, after) == kinds
    assert after.digest != before.digest


def test_a_comment_changes_no_digest(kit, build):
    """What a machine does not read is not part of an image."""
    before = build(kit)
    text = (kit / "kit.yaml").read_text()
    (kit / "kit.yaml").write_text(f"# a note\n{text}\n# another\n")
    assert build(kit).digest == before.digest


def test_source_date_epoch_is_the_time_of_everything(kit, build, monkeypatch):
    """The same epoch gives the same image, another one another; nonsense is refused."""
    zero = build(kit).digest
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = build(kit, again=True).digest
    assert first != zero
    assert build(kit).digest == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(KitError) as raised:
        build(kit)
    assert "'yesterday'" in raised.value.problems[0].message


@pytest.mark.parametrize("kind", ["layout", "archive"])
def test_the_layers_of_a_base_are_reused_as_they_are(tmp_path, home, kind):
    """A base from a layout or an archive gives the same image; its blobs stay the same bytes."""
    base = little_base()
    if kind == "layout":
        kit = little_kit(tmp_path / "kit")
    else:
        kit = little_kit(tmp_path / "kit", base="oci-archive:base.tar")
        write_archive(base, kit / "base.tar", "base:1")
    report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    image = LocalStore(home.store).image(str(report.digest))
    assert [layer.digest for layer in report.images[0].layers[:1]] == [base.layers[0].blob.digest]
    assert report.images[0].layers[0].kind == "base"
    assert image.config["config"]["Env"][0].startswith("PATH=")
    assert "BASE=here" in image.config["config"]["Env"]
    assert validate(image) == []


def test_another_base_in_the_kits_folder_is_drift(kit, home, build):
    """It is named with both digests, refused by a frozen build, and locked by any other."""
    build(kit)
    before = read_lock((kit / "kit.lock").read_bytes()).runtime.base
    shutil.rmtree(kit / "base")
    other = little_kit(kit.parent / "other")
    shutil.rmtree(other / "base")
    from mealkit.stores.layout import write_layout  # noqa: PLC0415

    write_layout(little_base("moved"), kit / "base", "base:1")
    with pytest.raises(LockError) as raised:
        build(kit, frozen=True)
    now = little_base("moved").digest
    assert f"runtime.base (locked {before.digest}, now {now})" in raised.value.problems[0].message
    build(kit, again=True)
    assert read_lock((kit / "kit.lock").read_bytes()).runtime.base.digest == now
    build(kit, frozen=True)


def test_a_base_for_another_machine_is_refused(tmp_path, home):
    """An arm64 base cannot carry an amd64 kit."""
    kit = little_kit(tmp_path / "kit", base="oci-archive:base.tar")
    image = base_of(layer_of("base", TarFile.of("etc/x", b"")), architecture="arm64")
    write_archive(image, kit / "base.tar", "base:1")
    with pytest.raises(MealkitError) as raised:
        build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    assert raised.value.problems[0].code in {"BASE_INVALID", "IMAGE_NOT_FOUND"}


def test_outputs_are_the_same_image(kit, home, build, tmp_path):
    """Layout and archive hold the digest that the build printed, and pass validation."""
    layout, archive = tmp_path / "layout", tmp_path / "image.tar"
    first = build(kit, Outputs(output=[f"oci:{layout}"]))
    second = build(kit, Outputs(output=[f"oci-archive:{archive}"]))
    assert first.digest == second.digest
    for image in (read_layout(layout), read_archive(archive)):
        assert image.digest == first.digest
        assert validate(image) == []
    found = inspect(f"oci-archive:{archive}", verify=True, home=home, progress=Heard())
    assert found.digest == str(first.digest)
    assert found.problems == ()
    assert found.lock is not None
    with open_image(f"oci:{layout}", home) as image:
        assert image.digest == first.digest


def test_an_output_that_is_neither_is_refused(kit, build, tmp_path):
    """A path without its kind could be either, so nothing is written."""
    with pytest.raises(KitError) as raised:
        build(kit, Outputs(output=[str(tmp_path / "out")]))
    assert raised.value.problems[0].code == "TARGET_UNFIT"
    assert not (tmp_path / "out").exists()


def test_weights_are_neither_copied_nor_linked(tmp_path, home, build):
    """A build writes a small part of the weights' bytes, and leaves them one name."""
    kit = little_kit(tmp_path / "heavy", weights_bytes=64_000_000)
    weights = kit / "weights" / "model.safetensors"
    with weights.open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(b"\1\2\3\4")
    build(kit)
    stored = sum(
        path.stat().st_blocks * 512
        for path in home.root.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    assert stored < weights.stat().st_size / 10
    assert weights.stat().st_nlink == 1


def test_weights_that_change_after_the_build_are_found(kit, home, build):
    """A flipped byte in the kit's folder is refused by the next frozen build with both digests."""
    build(kit)
    weights = kit / "weights" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    now = Digest.of(bytes(data))
    with pytest.raises(LockError, match=f"locked sha256:[0-9a-f]+, now {now}"):
        build(kit, frozen=True)
    data[-1] ^= 1
    weights.write_bytes(data)
    assert validate(LocalStore(home.store).image(str(build(kit).digest))) == []


def test_rendering_refuses_a_folder_that_holds_something(kit, home, tmp_path):
    """What is there stays as it is."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine").write_text("mine")
    with pytest.raises(BuildError) as raised:
        render_kit(kit, target, frozen=False, home=home, progress=Heard())
    assert raised.value.problems[0].code == "OUTPUT_EXISTS"
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_two_homes_and_two_folders_give_one_digest(tmp_path):
    """Neither the kit's path nor the home's is part of the image."""
    digests = set()
    for number in (1, 2):
        kit = little_kit(tmp_path / f"folder{number}" / "kit")
        home = home_at(tmp_path / f"home{number}")
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
        digests.add(report.digest)
    assert len(digests) == 1
