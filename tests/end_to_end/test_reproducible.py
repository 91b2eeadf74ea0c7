"""The example kit: its lock holds, its weights are the public ones, its digest is one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.little import Heard, edit_kit, little_kit, offline_environment
from fakes.served import DEMO, MINILM_SHA256, Demo, copy_of_demo

from mealkit.oci.validate import validate
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.locking import check_lock
from mealkit.recipe.lock import read_lock


def test_the_committed_lock_says_what_the_kit_says(tmp_path):
    """Nothing drifted, and the weights are those that the publisher and many projects state."""
    assert check_lock(DEMO, Home(tmp_path)).stale is None
    path = DEMO / "kit.lock"
    lock = read_lock(path.read_bytes(), str(path))
    (weights,) = [file for file in lock.model.files if file.path.endswith(".safetensors")]
    assert weights.sha256.hex == MINILM_SHA256
    text = path.read_text()
    # Only what the kit's author states is in it: the contact, and where a claim is from.
    assert set(re.findall(r"://([^/\"]*)", text)) == {"mealkit.dev", "www.sbert.net"}
    assert not re.search(r"\"(/home|/root|/tmp)/", text)


def digest_built_by(kit: Path, home: Path, **environment: str) -> str:
    """Build in a process of its own, with its own environment and umask."""
    command = [sys.executable, "-m", "mealkit", "--quiet", "build", "--locked", str(kit)]
    done = subprocess.run(
        command,
        env={**os.environ, "MEALKIT_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        umask=int(environment.get("TEST_UMASK", "022"), 8),
        cwd=kit,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_the_example_is_one_digest_on_another_path_umask_locale_and_zone(
    demo: Demo, tmp_path, home_with_files
):
    """Another folder, home, umask, language, time zone and hash seed: the same manifest."""
    kit = copy_of_demo(tmp_path / "another folder" / "kit-ü")
    home = home_with_files(tmp_path / "home2")
    digest = digest_built_by(
        kit,
        home.root,
        TEST_UMASK="077",
        LC_ALL="C",
        LANG="tr_TR.UTF-8",
        TZ="Pacific/Kiritimati",
        PYTHONHASHSEED="7",
        TMPDIR=str(tmp_path),
    )
    assert digest == str(demo.report.digest)
    assert validate(demo.image) == []


def test_a_little_kit_is_one_digest_whoever_owns_it(tmp_path):
    """Owners and modes of an author's files are not those in the image."""
    kit = little_kit(tmp_path / "kit")
    subprocess.run(
        [sys.executable, "-m", "mealkit", "--quiet", "lock", str(kit)],
        env=offline_environment(tmp_path / "home"),
        check=True,
        capture_output=True,
    )
    first = digest_built_by(kit, tmp_path / "home")
    other = tmp_path / "other"
    shutil.copytree(kit, other)
    for path in [other, *other.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    second = digest_built_by(other, tmp_path / "home2", TEST_UMASK="077", TZ="Asia/Kathmandu")
    assert second == first


@pytest.mark.online
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("edit", ["prompt", "hyperparameter"])
def test_an_edit_of_the_recipe_changes_the_kit_layer_alone(demo: Demo, tmp_path, edit):
    """Everything else is reused: no weights are read, nothing is fetched."""
    kit = copy_of_demo(tmp_path / "kit")
    if edit == "prompt":
        (kit / "prompts").mkdir(exist_ok=True)
        (kit / "prompts" / "query.jinja").write_text("query: {{ text }}\n")
        edit_kit(
            kit,
            lambda form: form.update(
                prompts={"query": {"file": "prompts/query.jinja", "variables": ["text"]}}
            ),
        )
    else:
        edit_kit(kit, lambda form: form["hyperparameters"].update(max_length=128))
    heard = Heard()
    report = build_kit(
        kit,
        frozen=False,
        outputs=Outputs(),
        home=demo.home,
        progress=heard,
        taken=Taken.KEPT,
    )
    changed = [row.kind for row in report.images[0].layers if not row.reused]
    assert changed == ["kit"]
    assert report.recipe != demo.report.recipe
    assert report.digest != demo.report.digest
    before = {row.digest for row in demo.report.images[0].layers}
    assert [row.kind for row in report.images[0].layers if row.digest not in before] == ["kit"]
    assert any("without the network" in phase for phase in heard.phases)


@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_the_command_line_prints_the_digest_and_nothing_else(demo: Demo):
    """Scripts take stdout as it is; the JSON form says the same."""
    environment = {**os.environ, "MEALKIT_HOME": str(demo.home.root)}
    command = [sys.executable, "-m", "mealkit", "build", str(demo.kit)]
    plain = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert plain.stdout == f"{demo.report.digest}\n"
    done = subprocess.run(
        [*command, "--json"], env=environment, capture_output=True, text=True, check=True
    )
    form = json.loads(done.stdout)
    assert form["digest"] == str(demo.report.digest)
    assert form["leanDigest"] == str(demo.report.images[0].lean_digest)
    assert form["recipe"] == str(demo.report.recipe)
