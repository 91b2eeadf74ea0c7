"""What differs between two kits, locks or images is named in the recipe's words."""

import shutil

import pytest
from fakes.little import Heard, edit_kit
from fakes.wheels import write_wheel

from mealkit.errors import LockError, MealkitError, StoreError
from mealkit.pipeline.image.comparing import diff
from mealkit.pipeline.image.inspecting import inspect
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.opening_images import open_image
from mealkit.progress import Silent


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


def named(changes):
    return {change.path: (change.before, change.after) for change in changes}


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
    found = named(diff(str(first), str(second), home))
    assert found["prompts.query.text:2"] == ("two {{ text }}", "2 {{ text }}")
    assert found["hyperparameters.pooling"] == ("mean", "cls")
    assert found["engine.packages.numpy.version"] == ("99.0", "99.1")
    assert found["about.version"] == ("1.0.0", "1.1.0")
    assert found["recipe"][0] != found["recipe"][1]
    assert not any("starlette" in path or "model" in path for path in found)


def test_a_kit_and_its_own_image_are_the_same(kit, build, home):
    """Nothing differs, so nothing is named."""
    report = build(kit)
    assert diff(str(kit), str(report.digest), home) == []


def test_kits_without_locks_are_compared_by_what_they_say(kit, home, tmp_path):
    """Before anything is locked, the kits themselves are held against each other."""
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    (other / "prompts" / "query.jinja").write_text("other {{ text }}\n")
    edit_kit(other, lambda form: form["hyperparameters"].update(max_length=8))
    found = named(diff(str(kit), str(other), home))
    assert found["hyperparameters.max_length"] == (16, 8)
    assert found["prompts.query:1"] == ("query: {{ text }}", "other {{ text }}")


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
    """The lock is stale: the edit is a difference all the same, and the lock is told of."""
    report = build(kit)
    (kit / "prompts" / "query.jinja").write_text("question: {{ text }}\n")
    heard = Heard()
    found = named(diff(str(report.digest), str(kit), home, progress=heard))
    assert found["prompts.query.text:1"] == ("query: {{ text }}", "question: {{ text }}")
    (notice,) = heard.notices
    assert (notice.code, notice.where) == ("LOCK_STALE", str(kit / "kit.lock"))


def test_an_edited_weight_file_is_a_difference(kit, build, home):
    """The folder is compared as it is now, and the stale lock is told of."""
    report = build(kit)
    (kit / "weights" / "config.json").write_text('{"hidden_size": 8, "model_type": "bert"}')
    heard = Heard()
    found = named(diff(str(report.digest), str(kit), home, progress=heard))
    assert "model.files.config.json.sha256" in found
    assert found["recipe"][0] != found["recipe"][1]
    (notice,) = heard.notices
    assert notice.code == "LOCK_STALE"


def test_a_lock_that_lacks_inputs_of_its_kit_is_not_compared(kit, build, home):
    """What the kit asks for now would have to be looked up first."""
    report = build(kit)
    edit_kit(kit, lambda form: form["runtime"].update(requirements=["numpy>1"]))
    with pytest.raises(LockError) as raised:
        diff(str(report.digest), str(kit), home)
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("LOCK_STALE", f"mealkit lock {kit}")


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
