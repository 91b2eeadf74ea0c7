"""A kit for two architectures: locked, built, kept, written, compared and looked at as one."""

import json
import subprocess

import pytest
from fakes.little import Heard, bases_of_both, edit_kit, little_pair
from fakes.needs import GIB
from fakes.wheels import write_wheel

from mealkit.errors import MealkitError
from mealkit.oci.descriptor import Platform
from mealkit.oci.index import ImageIndex
from mealkit.oci.validate import validate
from mealkit.pipeline.disk.pruning import prune
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit, render_kit
from mealkit.pipeline.image.comparing import diff
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.inspecting import images, inspect
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.machine.stated_needs import stated_by
from mealkit.pipeline.targets import StoredName
from mealkit.recipe.lock import read_lock
from mealkit.recipe.variant import plain_locks
from mealkit.stores.archive import read_archive
from mealkit.stores.layout import read_layout, write_layout
from mealkit.stores.local import LocalStore

BOTH = ("amd64", "arm64")


@pytest.fixture
def pair(tmp_path):
    """A little kit for both architectures, on a base that has both."""
    return little_pair(tmp_path / "pair")


def platform(name):
    return Platform("linux", name)


def test_an_index_of_two_images_is_built(pair, home, build):
    """Each image is whole and has the lock of a kit for its architecture alone."""
    report = build(pair)
    store = LocalStore(home.store)
    content = store.content("little:1.0.0")
    assert isinstance(content, ImageIndex)
    assert content.digest == report.digest
    assert [item.architecture for item in report.images] == list(BOTH)
    for name, image in zip(BOTH, content.images, strict=True):
        assert validate(image) == []
        assert image.platform == platform(name)
        assert store.image("little:1.0.0", platform(name)).digest == image.digest
        assert store.image(str(image.digest)[:20]).digest == image.digest
        lock = lock_of(image)
        assert (lock.runtime.architecture, lock.variants) == (name, {})
    assert content.annotations["dev.mealkit.recipe"] == str(report.recipe)
    assert "dev.mealkit.requirements" not in content.annotations


def test_a_variant_is_the_image_of_a_kit_for_it_alone(pair, build):
    """Another architecture beside it changes no byte of an image."""
    both = build(pair)
    edit_kit(pair, lambda form: form["hardware"].update(architectures=["amd64"]))
    assert build(pair, again=True).digest == both.images[0].digest
    edit_kit(pair, lambda form: form["hardware"].update(architectures=["arm64"]))
    assert build(pair, again=True).digest == both.images[1].digest


def test_the_same_lock_gives_the_same_index(pair, build, tmp_path):
    """In another home, and with the architectures in another order."""
    first = build(pair)
    edit_kit(pair, lambda form: form["hardware"].update(architectures=["arm64", "amd64"]))
    elsewhere = home_at(tmp_path / "elsewhere")
    second = build_kit(pair, frozen=True, outputs=Outputs(), home=elsewhere, progress=Heard())
    assert second.digest == first.digest
    assert all(row.reused for item in build(pair).images for row in item.layers)


def test_weights_are_there_once(pair, build):
    """The images share the layers that are the same."""
    amd64, arm64 = build(pair).images
    weights = [
        {row.digest for row in item.layers if row.kind == "weights"} for item in (amd64, arm64)
    ]
    assert weights[0] == weights[1]
    assert weights[0]


def test_layouts_and_archives_have_both(pair, build, tmp_path):
    """skopeo sees the index, and mealkit and skopeo find each image by its platform."""
    layout, archive = tmp_path / "layout", tmp_path / "image.tar"
    report = build(pair, Outputs(output=[f"oci:{layout}"]))
    build(pair, Outputs(output=[f"oci-archive:{archive}"]))
    for name, built in zip(BOTH, report.images, strict=True):
        for found in (
            read_layout(layout, platform=platform(name)),
            read_archive(archive, "little:1.0.0", platform(name)),
        ):
            assert found.digest == built.digest
            assert validate(found) == []
    command = ["skopeo", "inspect", "--override-arch", "arm64", "--config"]
    for where in (f"oci:{layout}:little:1.0.0", f"oci-archive:{archive}:little:1.0.0"):
        shown = subprocess.run([*command, where], check=True, capture_output=True).stdout
        assert json.loads(shown)["architecture"] == "arm64"


def test_the_index_is_listed_and_looked_at(pair, home, build):
    """A list names the platforms; a look shows one image, names both, and verifies both."""
    report = build(pair)
    (stored,) = images(home)
    assert [str(item) for item in stored.platforms] == ["linux/amd64", "linux/arm64"]
    assert stored.missing == ()
    assert stored.digest == report.digest
    found = inspect("little:1.0.0", verify=True, home=home, progress=Heard())
    assert found.problems == ()
    expected = [(f"linux/{item.architecture}", str(item.digest)) for item in report.images]
    assert list(found.variants) == expected
    assert (found.platform, found.digest) in found.variants
    layer = report.images[1].layers[-1].digest
    blob = home.store / "blobs/sha256" / layer.hex
    blob.write_bytes(bytes(blob.stat().st_size))
    damaged = inspect("little:1.0.0", verify=True, home=home, progress=Heard())
    assert [item.code for item in damaged.problems] == ["BLOB_DAMAGED"]


def test_a_kit_is_compared_with_its_index(pair, home, build):
    """No difference where there is none; else it is told of the variant that it is in."""
    build(pair)
    assert diff(str(pair), "little:1.0.0", home).changes == ()
    edit_kit(pair, lambda form: form["hyperparameters"].update(pooling="cls"))
    paths = [change.path for change in diff("little:1.0.0", str(pair), home).changes]
    assert "hyperparameters.pooling" in paths
    edit_kit(pair, lambda form: form["hardware"].update(architectures=["amd64"]))
    assert "variants" in [change.path for change in diff("little:1.0.0", str(pair), home).changes]


def test_each_machine_is_told_its_own_variants_needs(pair, home, build):
    """A preflight of an arm64 machine reads what the arm64 image needs."""
    build(pair)
    for recipe in (open_kit(pair, home).lock_as_written(), StoredName("little:1.0.0")):
        for name in BOTH:
            stated = stated_by(recipe, name, home)
            assert [item.value for item in stated.requirements.architectures] == [name]
            assert stated.requirements.memory_bytes < GIB


def test_pruning_keeps_every_variant(pair, home, build):
    """All images of an index stay for as long as it has a name, and go with it."""
    build(pair)
    prune(damaged=True, nameless=True, home=home, progress=Heard())
    store = LocalStore(home.store)
    content = store.content("little:1.0.0")
    assert [problem for image in content.images for problem in validate(image)] == []
    store.untag("little:1.0.0")
    prune(damaged=False, nameless=True, home=home, progress=Heard())
    assert store.images() == []
    assert store.blobs.digests() == []


def test_a_compiled_wheel_of_one_architecture_is_named(pair, build):
    """A package that has no wheel for the other one is told with the architecture."""
    for wheel in (pair / "wheels").glob("numpy-*"):
        wheel.unlink()
    tag = "cp313-cp313-manylinux_2_28_x86_64"
    write_wheel(pair / "wheels", "numpy", {"numpy.py": b""}, version="99.0", tag=tag)
    with pytest.raises(MealkitError) as raised:
        build(pair)
    problem = raised.value.problems[0]
    assert problem.code == "PACKAGES_SOURCE_ONLY"
    assert "on arm64" in problem.message
    assert "numpy" in problem.message


def test_a_base_for_one_architecture_is_told(pair, build):
    """A base image that is only for amd64 carries no kit for both."""
    (pair / "both" / "index.json").unlink()
    write_layout(bases_of_both()[0], pair / "both", "base:1")
    with pytest.raises(MealkitError, match=r"no image for linux/arm64.* linux/amd64"):
        build(pair)


def test_a_dockerfile_is_for_one_architecture(pair, home, build, tmp_path):
    """It is this machine's, or the one that is asked for."""
    build(pair)
    wanted = [base.digest for base in bases_of_both()]
    for name, digest in zip(BOTH, wanted, strict=True):
        folder = tmp_path / name
        render_kit(pair, folder, frozen=True, home=home, progress=Heard(), architecture=name)
        assert f"@{digest}" in (folder / "Dockerfile").read_text()
    with pytest.raises(MealkitError, match=r"USAGE: .* not for s390x"):
        render_kit(
            pair, tmp_path / "x", frozen=True, home=home, progress=Heard(), architecture="s390x"
        )


def test_the_index_states_what_all_images_do(pair, home, build):
    """Its recipe is that of the whole lock; each image states its own."""
    report = build(pair)
    content = LocalStore(home.store).content("little:1.0.0")
    lock = read_lock((pair / "kit.lock").read_bytes())
    assert content.annotations["dev.mealkit.recipe"] == str(lock.recipe) == str(report.recipe)
    recipes = [str(plain.recipe) for plain in plain_locks(lock)]
    assert [image.labels["dev.mealkit.recipe"] for image in content.images] == recipes
