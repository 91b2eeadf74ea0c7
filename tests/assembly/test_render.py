"""A plan is written as a folder that plain docker build makes the same image of."""

import hashlib
import tarfile
from dataclasses import replace

import pytest
from fakes.builds import little_lock

from mealkit.assembly.render import SUMS, render
from mealkit.errors import MealkitError
from mealkit.plan.layers import Folder, LayerKind, LayerPlan, TextFile
from mealkit.plan.planning import plan_image

BASE = "example.org/base@sha256:" + "0" * 64


def no_compiler(*_):
    raise AssertionError("there is nothing to compile")


@pytest.fixture
def write(tmp_path):
    """Render a plan of some layers, or a plan that is changed otherwise."""
    lock, inputs = little_lock(tmp_path / "kit")
    plan = plan_image(lock, {})

    def run(*contents, target=tmp_path / "out", missing=False, **changes):
        layers = (LayerPlan(LayerKind.KIT, "title", "reason", contents),) if contents else None
        changed = replace(plan, layers=layers or plan.layers, **changes)
        render(changed, lock, {} if missing else inputs, no_compiler, target, BASE)
        return target

    return run


def test_every_file_of_the_context_has_its_checksum(write):
    """They are what sha256sum --check reads."""
    target = write()
    lines = (target / SUMS).read_text().splitlines()
    stated = {path: digest for digest, path in (line.split("  ") for line in lines)}
    there = {
        path.relative_to(target).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in target.rglob("*")
        if path.is_file() and path.name != SUMS
    }
    assert stated == there
    assert not list(target.rglob(".scratch"))


def test_plain_files_are_copied_with_their_modes(write):
    """Whatever the umask is, a folder has the mode that COPY keeps."""
    target = write(TextFile("a/b", b"1", 0o755), TextFile("c", b"2"))
    folder = target / "layers/00-kit"
    assert "COPY layers/00-kit/ /" in (target / "Dockerfile").read_text()
    assert (folder / "a/b").read_bytes() == b"1"
    assert [(folder / name).stat().st_mode & 0o777 for name in ("a", "a/b", "c")] == [
        *(0o755, 0o755, 0o644)
    ]


def test_a_folder_with_an_owner_is_added_as_an_archive_before_the_files(write):
    """COPY would make the folder root's."""
    target = write(Folder("state", owner_id=65532), TextFile("etc/a", b"1"))
    text = (target / "Dockerfile").read_text()
    assert text.index("ADD layers/00-kit-folders.tar /") < text.index("COPY layers/00-kit/ /")


def test_a_folder_with_an_owner_and_a_file_in_it_are_added_together(write):
    """Copying the file would copy its folder too, with another owner."""
    target = write(Folder("state", owner_id=65532), TextFile("state/a", b"1"))
    assert "COPY" not in (target / "Dockerfile").read_text()
    with tarfile.open(target / "layers/00-kit.tar") as archive:
        assert [(item.name, item.uid) for item in archive] == [("state", 65532), ("state/a", 0)]


@pytest.mark.parametrize("there", ["a file", "a folder with a file"])
def test_what_is_there_is_never_written_over(write, tmp_path, there):
    """Neither a file nor a folder that has something in it."""
    target = tmp_path / "taken"
    if there == "a file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").write_text("mine")
    with pytest.raises(MealkitError, match="OUTPUT_EXISTS"):
        write(target=target)
    assert (target if target.is_file() else target / "mine").read_text() == "mine"


def test_an_empty_folder_is_filled(write, tmp_path):
    """It may have been made for this."""
    (tmp_path / "empty").mkdir()
    assert (write(target=tmp_path / "empty") / "Dockerfile").is_file()


def test_a_missing_input_leaves_nothing_behind(write, tmp_path):
    """The context is there whole or not at all."""
    with pytest.raises(MealkitError, match="BUILD_INPUT_MISSING"):
        write(missing=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit"]


def test_a_label_is_quoted_for_a_dockerfile(write, tmp_path):
    """Quotes, dollars and backslashes are those of the value; a line break cannot be said."""
    run = plan_image(little_lock(tmp_path / "labels")[0], {}).run
    target = write(run=replace(run, labels={"x": 'a "b" $c \\d'}))
    assert 'x="a \\"b\\" \\$c \\\\d"' in (target / "Dockerfile").read_text()
    with pytest.raises(MealkitError, match="LOCK_INVALID"):
        write(target=tmp_path / "bad", run=replace(run, labels={"x": "a\nRUN id"}))
