"""What differs between two kits, locks or images is named in the recipe's words."""

import json
import shutil

import pytest
from fakes.little import Heard, edit_kit
from fakes.wheels import write_wheel

from mealkit.errors import MealkitError, StoreError
from mealkit.pipeline.image.comparing import diff
from mealkit.pipeline.image.inspecting import inspect
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.opening_images import open_image
from mealkit.progress import Silent
from mealkit.recipe.answers import Effect
from mealkit.recipe.lock import Lock, lock_bytes, read_lock


@pytest.fixture
def two(kit, build, tmp_path):
    """A kit, and one with another prompt line, another pooling and another numpy; both built."""
    (kit / "prompts" / "query.jinja").write_text("one\ntwo {{ text }}\nthree\n")
    build(kit, Outputs(output=[f"oci-archive:{tmp_path}/first.tar"]))
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    (other / "prompts" / "query.jinja").write_text("one\n2 {{ text }}\nthree\n")
    edit_kit(other, lambda form: form["hyperparameters"].update(pooling="cls"))
    edit_kit(other, lambda form: form.update(version="1.1.0"))
    (other / "wheels" / "numpy-99.0-py3-none-any.whl").unlink()
    write_wheel(other / "wheels", "numpy", {"numpy.py": b"HERE = 2\n"}, version="99.1")
    build(other, Outputs(output=[f"oci:{tmp_path}/second"]))
    return kit, other


def named(found):
    return {change.path: (change.before, change.after) for change in found.changes}


def groups(found):
    """Return the paths of each effect."""
    return {
        effect.value: [change.path for change in found.changes if change.effect is effect]
        for effect in Effect
    }


@pytest.mark.parametrize("kind", ["kits", "kit files", "locks", "images", "files"])
def test_the_prompt_line_the_value_and_the_package_are_named(two, home, tmp_path, kind):
    """However the two sides are given, the answer is the same."""
    first, second = {
        "kits": two,
        "kit files": [folder / "kit.yaml" for folder in two],
        "locks": [folder / "kit.lock" for folder in two],
        "images": ("little:1.0.0", "little:1.1.0"),
        "files": (f"oci-archive:{tmp_path}/first.tar", f"oci:{tmp_path}/second"),
    }[kind]
    difference = diff(str(first), str(second), home)
    found = named(difference)
    assert found["prompts.query.text:2"] == ("two {{ text }}", "2 {{ text }}")
    assert found["hyperparameters.pooling"] == ("mean", "cls")
    assert found["engine.packages.numpy.version"] == ("99.0", "99.1")
    assert found["about.version"] == ("1.0.0", "1.1.0")
    assert difference.before.recipe != difference.after.recipe
    assert difference.before.salt != difference.after.salt
    assert list(found) == [
        "engine.packages.numpy.version",
        "hyperparameters.pooling",
        "prompts.query.text:2",
        "about.version",
        "requirements.disk_bytes",
    ]


def test_a_patched_library_below_the_engine_is_another_recipe_of_the_same_salt(kit, build, home):
    """A package that neither engine nor kit asks for by name may change answers; it does not decide them."""
    build(kit)
    lock = read_lock((kit / "kit.lock").read_bytes())
    form = lock.model_dump(mode="json", by_alias=True)
    package = next(item for item in form["engine"]["packages"] if item["name"] == "numpy")
    assert "numpy" in form["engine"]["requested"]
    form["engine"]["requested"].remove("numpy")
    before = Lock.model_validate_json(json.dumps(form))
    package["version"] = "99.0.1"
    after = Lock.model_validate_json(json.dumps(form))
    (kit / "before.lock").write_bytes(lock_bytes(before))
    (kit / "after.lock").write_bytes(lock_bytes(after))
    found = diff(str(kit / "before.lock"), str(kit / "after.lock"), home)
    assert groups(found)["may-change"] == ["engine.packages.numpy.version"]
    assert found.before.salt == found.after.salt
    assert found.before.recipe != found.after.recipe


def test_a_kit_and_its_own_image_are_the_same(kit, build, home):
    """Nothing differs, so nothing is named."""
    report = build(kit)
    found = diff(str(kit), str(report.digest), home)
    assert found.changes == ()
    assert found.before == found.after


def test_kits_without_locks_are_compared_by_what_they_say(kit, home, tmp_path):
    """Before anything is locked, the kits themselves are held against each other."""
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    (other / "prompts" / "query.jinja").write_text("other {{ text }}\n")
    edit_kit(other, lambda form: form["hyperparameters"].update(max_length=8))
    found = named(diff(str(kit), str(other), home))
    assert found["hyperparameters.max_length"] == (16, 8)
    assert found["prompts.query.text:1"] == ("query: {{ text }}", "other {{ text }}")


def test_a_kit_without_a_lock_against_one_with_is_an_answer_too(kit, build, home, tmp_path):
    """One side has no lock: the kits are compared, and nothing is locked for it."""
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    build(kit)
    edit_kit(other, lambda form: form["hyperparameters"].update(max_length=8))
    found = named(diff(str(kit), str(other), home))
    assert found["hyperparameters.max_length"] == (16, 8)
    assert not (other / "kit.lock").exists()


def test_a_kit_is_compared_as_it_is_written_now(kit, build, home):
    """The lock is stale, but nothing has to be resolved: the edit is a difference all the same."""
    report = build(kit)
    (kit / "prompts" / "query.jinja").write_text("question: {{ text }}\n")
    heard = Heard()
    difference = diff(str(report.digest), str(kit), home, progress=heard)
    found = named(difference)
    assert found == {
        "prompts.query.text:1": ("query: {{ text }}", "question: {{ text }}"),
    }
    assert groups(difference)["changes"] == ["prompts.query.text:1"]
    assert heard.notices == []


def test_an_edited_weight_file_is_a_difference(kit, build, home):
    """The folder is compared as it is now, not as its lock was written."""
    report = build(kit)
    (kit / "weights" / "config.json").write_text('{"hidden_size": 8, "model_type": "bert"}')
    difference = diff(str(report.digest), str(kit), home)
    assert "model.files.config.json.sha256" in named(difference)
    assert difference.before.salt != difference.after.salt


def test_what_must_be_resolved_again_is_compared_as_it_was(kit, build, home):
    """The rest of the folder is compared as it is now, and a warning says what is not."""
    report = build(kit)
    edit_kit(kit, lambda form: form["runtime"].update(requirements=["numpy>1"]))
    edit_kit(kit, lambda form: form["hyperparameters"].update(max_length=8))
    heard = Heard()
    found = named(diff(str(report.digest), str(kit), home, progress=heard))
    assert found["hyperparameters.max_length"] == (16, 8)
    (notice,) = heard.notices
    assert (notice.code, notice.hint) == ("LOCK_STALE", f"mealkit lock {kit}")
    assert "requests.packages" in notice.message


def test_an_unlocked_kit_against_an_image_says_what_to_do(kit, build, home, tmp_path):
    """An image has no kit.yaml to compare with: a problem with a way out, no traceback."""
    build(kit)
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    (other / "kit.lock").unlink()
    with pytest.raises(MealkitError) as raised:
        diff("little:1.0.0", str(other), home)
    assert "lock" in raised.value.problems[0].hint


def test_an_image_that_is_nowhere_is_named(home):
    """The name that was asked for stands in the problem."""
    with pytest.raises(StoreError) as raised, open_image("nothing:1", home):
        pass
    assert raised.value.problems[0].code == "IMAGE_NOT_FOUND"
    assert "nothing:1" in raised.value.problems[0].message


def test_inspecting_with_verify_finds_a_flipped_byte(kit, build, home):
    """Every byte is read: a damaged blob is named."""
    report = build(kit)
    blob = home.store / "blobs" / "sha256" / report.images[0].layers[-1].digest.hex
    data = bytearray(blob.read_bytes())
    data[600] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    found = inspect("little:1.0.0", verify=True, home=home, progress=Silent())
    assert found.problems is not None
    assert [problem.code for problem in found.problems] == ["BLOB_DAMAGED"]
