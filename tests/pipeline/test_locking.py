"""Locks are made from nothing but the kit, brought up to date where it changed, and never torn."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.graphs import little_graph
from fakes.hub_server import REPO
from fakes.little import Heard, edit_kit, offline_environment, safetensors
from fakes.wheels import write_wheel

from mealkit.digest import Digest
from mealkit.errors import KitError, LockError, MealkitError, Owner, Problem, SourceError
from mealkit.lock.resolve import Upgrade
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.building import build_kit, render_kit
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.kit.checking import check_kit
from mealkit.pipeline.kit.locking import LockReport, check_lock, lock_kit
from mealkit.recipe.lock import read_lock

NOTHING: frozenset[Upgrade] = frozenset()

_FILES = ["model.safetensors", "config.json", "tokenizer.json", "model.onnx"]


def complete(folder: Path) -> None:
    """Give a little kit the files that its engine needs."""
    (folder / "weights" / "tokenizer.json").write_text("{}")
    (folder / "weights" / "model.onnx").write_bytes(little_graph())
    edit_kit(folder, lambda form: form["model"]["weights"][0].update(files=_FILES))


def problems_of_check(folder: Path, home: Home) -> tuple[Problem, ...]:
    with pytest.raises(KitError) as raised:
        check_kit(folder, home)
    return raised.value.problems


def lock(folder, home, upgrade=NOTHING, progress=None) -> LockReport:
    return lock_kit(folder, upgrade=upgrade, home=home, progress=progress or Heard())


def test_a_lock_is_written_once_and_then_holds(kit, home):
    """The second lock changes neither a byte nor the file's time, and asks nobody."""
    first = lock(kit, home)
    before = first.path.stat()
    heard = Heard()

    second = lock(kit, home, progress=heard)

    assert first.created
    assert not second.created
    assert second.changes == ()
    assert second.recipe == first.recipe
    assert heard.phases == []
    assert first.path.stat().st_mtime_ns == before.st_mtime_ns
    assert first.path.stat().st_ino == before.st_ino


def test_a_lock_names_no_host_no_path_and_no_time(kit, home, tmp_path):
    """Two homes and two folders give the same bytes, and the folder is not among them."""
    text = lock(kit, home).path.read_text()
    assert str(tmp_path) not in text
    assert "://" not in text
    assert os.uname().nodename not in text
    elsewhere = tmp_path / "else" / "where"
    elsewhere.parent.mkdir()
    kit.rename(elsewhere)
    (elsewhere / "kit.lock").unlink()
    assert lock(elsewhere, type(home)(tmp_path / "home2")).path.read_text() == text


def test_a_check_without_a_lock_says_so(kit, home):
    """``--check`` never makes a lock."""
    with pytest.raises(LockError) as raised:
        check_lock(kit, home)
    assert raised.value.problems[0].code == "LOCK_MISSING"
    assert not (kit / "kit.lock").exists()


def test_a_prompt_edit_is_drift_by_line_and_needs_no_network(kit, home):
    """The lock is refreshed for a prompt edit although no source is asked."""
    lock(kit, home)
    (kit / "prompts" / "query.jinja").write_text("question: {{ text }}\n")

    changes = {change.path: change for change in check_lock(kit, home).changes}
    heard = Heard()
    report = lock(kit, home, progress=heard)

    line = changes["prompts.query.text:1"]
    assert (line.before, line.after) == ("query: {{ text }}", "question: {{ text }}")
    assert heard.phases == []
    assert check_lock(kit, home).stale is None
    assert {change.path for change in report.changes} >= {"prompts.query.text:1"}


def test_a_frozen_build_refuses_a_stale_lock_and_changes_nothing(kit, home, build):
    """``--locked`` names what the kit says otherwise, and leaves the lock alone."""
    lock(kit, home)
    before = (kit / "kit.lock").read_bytes()
    edit_kit(kit, lambda form: form["hyperparameters"].update(max_length=8))

    with pytest.raises(LockError) as raised:
        build(kit, frozen=True)

    (problem,) = raised.value.problems
    assert problem.code == "LOCK_STALE"
    assert "hyperparameters.max_length" in problem.message
    assert raised.value.exit_code == 4
    assert (kit / "kit.lock").read_bytes() == before


def test_a_frozen_build_refuses_a_missing_lock(kit, build):
    """Without a lock there is nothing that could be frozen."""
    with pytest.raises(LockError) as raised:
        build(kit, frozen=True)
    assert raised.value.problems[0].code == "LOCK_MISSING"
    assert not (kit / "kit.lock").exists()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda form: form["hyperparameters"].update(pooling="cls"), "hyperparameters.pooling"),
        (lambda form: form["serving"].update(max_concurrency=3), "serving.max_concurrency"),
        (lambda form: form["owner"].update(team="bakers"), "about.owner.team"),
        (lambda form: form["runtime"].update(settings={"threads": 2}), "engine.settings.threads"),
    ],
)
def test_drift_is_named_in_the_words_of_the_lock(kit, home, change, path):
    """Every value that the lock holds is compared under its own name."""
    lock(kit, home)
    edit_kit(kit, change)
    changed = [item.path for item in check_lock(kit, home).changes]
    # What a machine needs follows from the rest.
    assert [item for item in changed if not item.startswith("requirements.")] == [path]


def test_who_answers_for_a_kit_is_no_part_of_its_recipe(kit, home):
    """Another owner is another lock and the same recipe; another pooling is another recipe."""
    first = lock(kit, home).recipe
    edit_kit(kit, lambda form: form["owner"].update(team="bakers"))
    owner = lock(kit, home)
    edit_kit(kit, lambda form: form["hyperparameters"].update(pooling="cls"))
    pooling = lock(kit, home)

    assert owner.recipe == first
    assert [change.path for change in owner.changes] == ["about.owner.team"]
    assert pooling.recipe != first


def test_changed_weights_are_drift_and_are_locked_without_being_asked(kit, home, build):
    """Another file under the same name is named with both digests, by every verb."""
    complete(kit)
    before = Digest.of((kit / "weights" / "model.safetensors").read_bytes())
    lock(kit, home)
    build(kit)
    (kit / "weights" / "model.safetensors").write_bytes(safetensors(400_000, seed=7))
    now = Digest.of((kit / "weights" / "model.safetensors").read_bytes())
    path = "model.files.model.safetensors"

    checked = check_lock(kit, home)
    (warning,) = check_kit(kit, home).warnings
    heard = Heard()
    built = build_kit(
        kit,
        frozen=False,
        outputs=Outputs(),
        home=home,
        progress=heard,
        taken=Taken.REPLACED,
    )

    assert (f"{path}.sha256", before, now) in named(checked.changes)
    for problem in (checked.stale, warning):
        assert problem.code == "LOCK_STALE"
        assert f"{path} (locked {before}, now {now})" in problem.message
        assert problem.hint == f"mealkit lock {kit}"
    assert any(f"{path} (locked {before}, now {now})" in phase for phase in heard.phases)
    assert read_lock((kit / "kit.lock").read_bytes(), "").recipe == built.recipe
    assert check_lock(kit, home).stale is None


def named(changes):
    return [(change.path, change.before, change.after) for change in changes]


def test_a_frozen_lock_refuses_an_edited_file(kit, home, build, tmp_path):
    """A configuration in the kit's own folder is an input like the weights."""
    lock(kit, home)
    build(kit)
    (kit / "weights" / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(LockError, match=r"config\.json \(locked sha256:") as raised:
        build(kit, frozen=True)
    assert raised.value.exit_code == 4
    with pytest.raises(LockError, match=r"config\.json \(locked sha256:"):
        render_kit(kit, tmp_path / "out", frozen=True, home=home, progress=Heard())


def test_a_new_and_a_missing_file_are_drift(kit, home):
    """A pattern is compared with the folder as it is; a missing file stops the lock."""
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(files=["*"]))
    lock(kit, home)
    (kit / "weights" / "words.txt").write_text("a\n")
    paths = [change.path for change in lock(kit, home).changes]
    assert "model.files.words.txt" in paths

    (kit / "weights" / "config.json").unlink()
    edit_kit(kit, lambda form: form["owner"].update(team="bakers"))
    checked = check_lock(kit, home)
    assert ("model.files.config.json.sha256", None) in [
        (change.path, change.after) for change in checked.changes
    ]
    assert "config.json (locked" in checked.stale.message
    assert "now missing)" in checked.stale.message


def test_only_local_files_move_when_a_local_file_changed(kit, home, hub):
    """Files of a branch stay at the locked commit, and the Hub is not asked for a text."""
    hub.add("generation_config.json", b"{}")
    entry = {
        "source": "hub",
        "repo": REPO,
        "revision": "main",
        "files": ["*.json"],
        "into": "far",
    }
    edit_kit(kit, lambda form: form["model"]["weights"].append(entry))
    (kit / "weights" / "words.txt").write_text("a\n")
    edit_kit(kit, lambda form: form["model"]["weights"][0]["files"].append("words.txt"))
    lock(kit, home)
    asked = len(hub.seen)
    hub.add("generation_config.json", b'{"top_k": 1}')
    hub.add("later.json", b"{}")
    (kit / "weights" / "words.txt").write_text("b\n")
    changed = {change.path for change in lock(kit, home).changes}
    assert changed == {"model.files.words.txt.sha256"}
    assert len(hub.seen) == asked

    # The shape depends on config.json and all headers: they are in the home, or read at the commit.
    shutil.rmtree(home.files)
    hub.add("generation_config.json", b"{}")
    (kit / "weights" / "config.json").write_text('{"hidden_size": 8, "model_type": "bert"}')
    changed = {change.path for change in lock(kit, home).changes}
    assert "model.files.config.json.sha256" in changed
    assert not any("far/" in path for path in changed)


def test_a_file_is_hashed_again_only_if_it_was_written(kit, home):
    """Size, times and inode tell; a write that restores the modification time is noticed."""
    path = kit / "weights" / "model.safetensors"
    lock(kit, home)
    records = {item: item.read_bytes() for item in (home.store / "digests").glob("*.json")}
    assert check_lock(kit, home).stale is None
    assert {item: item.read_bytes() for item in records} == records

    before = path.stat()
    path.write_bytes(safetensors(400_000, seed=9))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert "model.safetensors (locked" in check_lock(kit, home).stale.message


def test_a_digest_that_the_kit_asserts_is_not_locked_over(kit, home, build):
    """Another file is drift, and neither a lock nor a build takes it."""
    asserted = Digest.of((kit / "weights" / "config.json").read_bytes()).hex
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(sha256={"config.json": asserted}))
    lock(kit, home)
    before = (kit / "kit.lock").read_bytes()
    (kit / "weights" / "config.json").write_text("{}")
    assert check_lock(kit, home).stale.code == "LOCK_STALE"
    for verb in (lambda: lock(kit, home), lambda: build(kit)):
        with pytest.raises(SourceError, match=f"expected sha256:{asserted}"):
            verb()
    assert (kit / "kit.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "code"), [("a\nb.json", "SOURCE_ANSWER"), ("cafe\u0301.json", "WEIGHTS_CLASH")]
)
def test_a_new_file_that_no_lock_can_contain_is_a_problem(kit, home, name, code):
    """By its name, for every verb that compares the folder."""
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(files=["*"]))
    (kit / "weights" / "caf\u00e9.json").write_text("{}")
    lock(kit, home)
    (kit / "weights" / name).write_text("{}")
    for verb in (check_lock, check_kit, lock):
        with pytest.raises(MealkitError, match=code):
            verb(kit, home)


def test_a_replaced_wheel_of_the_kit_is_drift(kit, home):
    """Wheels beside the kit are part of what it asks for."""
    lock(kit, home)
    write_wheel(kit / "wheels", "numpy", {"numpy.py": b"HERE = 2\n"}, version="99.0")
    changes = [change.path for change in check_lock(kit, home).changes]
    assert sorted(changes) == ["requests.gateway", "requests.packages"]
    report = lock(kit, home)
    assert any(change.path.startswith("engine.packages.numpy") for change in report.changes)


def test_a_package_that_cannot_be_had_leaves_no_lock(kit, home):
    """A refusal in the middle of locking writes nothing."""
    edit_kit(kit, lambda form: form["runtime"].update(requirements=["nowhere"]))
    with pytest.raises(MealkitError) as raised:
        lock(kit, home)
    assert raised.value.problems[0].code == "SOURCE_UNREACHABLE"
    assert "nowhere" in raised.value.problems[0].message
    assert [path.name for path in kit.glob(".kit.lock*")] == []
    assert not (kit / "kit.lock").exists()


def test_a_torn_lock_is_refused_with_the_way_out(kit, home):
    """A lock that somebody cut is neither guessed at nor overwritten in silence."""
    path = lock(kit, home).path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LockError) as raised:
        check_lock(kit, home)
    assert raised.value.problems[0].code == "LOCK_INVALID"
    assert raised.value.problems[0].where == str(path)


def test_a_lock_in_a_folder_that_cannot_be_written_is_a_problem(kit, home):
    """The folder's mode stands in the problem, not a traceback."""
    if os.geteuid() == 0:
        path = kit / "kit.lock"
        path.mkdir()  # root may write everywhere; but no file replaces a folder
        with pytest.raises(MealkitError):
            lock(kit, home)
        return
    kit.chmod(0o555)
    try:
        with pytest.raises(MealkitError) as raised:
            lock(kit, home)
        assert raised.value.problems[0].code == "DISK_DENIED"
    finally:
        kit.chmod(0o755)


def test_killed_while_locking_the_lock_is_whole_or_not_there(kit, home):
    """SIGKILL at many moments leaves a lock that can be read, or none; the next one works."""
    code = (
        "import sys; from pathlib import Path\n"
        "from mealkit.pipeline.home import home_at\n"
        "from mealkit.progress import Silent\n"
        "from mealkit.pipeline.kit.locking import lock_kit\n"
        "lock_kit(Path(sys.argv[1]), upgrade=frozenset(), home=home_at(), progress=Silent())\n"
    )
    environment = offline_environment(home.root)
    command = [sys.executable, "-c", code, str(kit)]
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True)
    whole_seconds = time.monotonic() - started
    expected = (kit / "kit.lock").read_bytes()
    ended = 0
    for moment in range(12):
        (kit / "kit.lock").unlink(missing_ok=True)
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            process.wait(whole_seconds * (moment + 1) / 12)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ended += 1
        if (kit / "kit.lock").exists():
            assert (kit / "kit.lock").read_bytes() == expected
    assert ended
    assert lock(kit, home).path.read_bytes() == expected
    assert json.loads(expected)["about"]["name"] == "little"
    assert read_lock(expected, "kit.lock")


def test_the_mode_of_a_lock_does_not_depend_on_the_umask(kit, home):
    """A lock is read by others: by CI, by colleagues."""
    before = os.umask(0o077)
    try:
        path: Path = lock(kit, home).path
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_lock_that_is_no_file_is_not_waited_for(kit, home):
    """A FIFO is refused; a link out of the kit's folder is not read."""
    os.mkfifo(kit / "kit.lock")
    with pytest.raises(MealkitError, match="LOCK_INVALID"):
        check_lock(kit, home)
    (kit / "kit.lock").unlink()
    (kit / "kit.lock").symlink_to("/etc/hostname")
    with pytest.raises(MealkitError, match="KIT_PATH_OUTSIDE"):
        check_lock(kit, home)


def test_a_base_whose_blobs_link_out_is_refused(kit, home, tmp_path):
    """A layout in the kit's folder brings nothing that lies elsewhere."""
    blob = next((kit / "base" / "blobs" / "sha256").iterdir())
    blob.rename(tmp_path / "blob")
    blob.symlink_to(tmp_path / "blob")
    with pytest.raises(MealkitError, match="KIT_PATH_OUTSIDE"):
        lock_kit(kit, upgrade=frozenset(), home=home, progress=Heard())
    allowed = [tmp_path]
    lock_kit(kit, upgrade=frozenset(), home=home, progress=Heard(), allowed=allowed)
    assert str(tmp_path) not in (kit / "kit.lock").read_text()


def test_a_lock_names_no_folder_that_was_allowed(kit, home, tmp_path):
    """Weights from elsewhere are named by their paths in their folder."""
    (kit / "weights").rename(tmp_path / "private models")
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(path="../private models"))
    lock_kit(
        kit,
        upgrade=frozenset(),
        home=home,
        progress=Heard(),
        allowed=[tmp_path / "private models"],
    )
    assert "private models" not in (kit / "kit.lock").read_text()


def test_a_check_names_every_file_and_every_requirement_at_once(kit, home):
    """Files that are missing, stand for others or are of another format; also without a lock."""
    (kit / "weights" / "pointer.json").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"
    )
    (kit / "weights" / "other.gguf").write_text("Not Found")
    files = ["config.json", "nothing.txt", "pointer.json", "other.gguf", "*.onnx"]
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(files=files))
    edit_kit(
        kit, lambda form: form["runtime"].update(requirements=["-r more.txt", "a @ file:///x"])
    )
    with pytest.raises(KitError) as raised:
        check_kit(kit, home)
    assert sorted(item.code for item in raised.value.problems) == [
        *["KIT_INVALID"] * 2,
        *["SOURCE_NOT_FOUND"] * 2,
        *["WEIGHTS_FORMAT"] * 2,
    ]
    assert all(":" in item.where for item in raised.value.problems)


def test_a_missing_local_file_is_a_problem(kit, home):
    """The script of the kit that makes it is named; with a mirror, it is no problem."""
    complete(kit)
    entry = {"files": [*_FILES, "later.json"]}
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(entry))
    (missing,) = problems_of_check(kit, home)
    assert (missing.code, missing.owner) == ("SOURCE_NOT_FOUND", Owner.KIT_AUTHOR)
    assert "there is no later.json" in missing.message
    (kit / "make_it.sh").write_text("echo > weights/later.json\n")
    (named,) = problems_of_check(kit, home)
    assert named.hint == f"make it: bash {kit / 'make_it.sh'}"
    mirror = {"source": "http", "url": "http://127.0.0.1:9/models"}
    entry = {"files": _FILES, "mirrors": [mirror]}
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(entry))
    assert check_kit(kit, home).stale is None
    (kit / "weights" / "config.json").unlink()
    assert check_kit(kit, home).warnings == ()
