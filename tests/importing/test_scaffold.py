"""A new kit's folder is written whole, or not at all."""

import json

import pytest
import yaml

from mealkit.errors import MealkitError
from mealkit.importing.proposal import Proposal
from mealkit.importing.scaffold import new_engines, write_new_kit, write_proposed_kit

SCHEMA = {"type": "object"}


@pytest.mark.parametrize("engine", new_engines())
def test_a_kit_of_each_engine_has_its_folders_name(tmp_path, engine):
    """With the schema beside it, and no template left."""
    file = write_new_kit(tmp_path / "my-kit", engine, SCHEMA)
    assert file == tmp_path / "my-kit" / "kit.yaml"
    form = yaml.safe_load(file.read_text())
    assert (form["name"], form["runtime"]["engine"]) == ("my-kit", engine)
    assert json.loads((file.parent / "kit.schema.json").read_text()) == SCHEMA
    left = [
        path
        for path in file.parent.rglob("*.jinja")
        if path.parent.name not in {"prompts", "model"}
    ]
    assert left == []


def test_a_proposed_kit_has_its_own_files_in_their_folders(tmp_path):
    """Texts and bytes."""
    proposal = Proposal("x", "onnx", {"license": "MIT"}, {"a/b.py": "é", "c": b"\0"})
    file = write_proposed_kit(tmp_path / "kit", proposal, SCHEMA)
    assert (file.parent / "a/b.py").read_text("utf-8") == "é"
    assert (file.parent / "c").read_bytes() == b"\0"
    assert yaml.safe_load(file.read_text())["license"] == "MIT"


@pytest.mark.parametrize("name", ["Kit", "a b", "-a", "a-", "a..b", "é", "x" * 129])
def test_a_folder_that_no_kit_can_be_named_after_is_refused(tmp_path, name):
    """Before anything is written."""
    with pytest.raises(MealkitError, match="KIT_INVALID"):
        write_new_kit(tmp_path / name, None, SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path):
    """Neither a file nor a folder with something in it; an empty folder is filled."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in ("file", "full"):
        with pytest.raises(MealkitError, match="KIT_EXISTS"):
            write_new_kit(tmp_path / name, None, SCHEMA)
    assert write_new_kit(tmp_path / "empty", None, SCHEMA).is_file()


def test_an_unknown_engine_is_refused_with_those_there_are(tmp_path):
    """Nothing is written."""
    with pytest.raises(MealkitError, match="KIT_INVALID") as caught:
        write_new_kit(tmp_path / "kit", "onyx", SCHEMA)
    assert "onnx" in (caught.value.problems[0].hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_kit_that_cannot_be_written_whole_leaves_nothing(tmp_path):
    """A file cannot also be a folder."""
    proposal = Proposal("x", "onnx", {}, {"a": "1", "a/b": "2"})
    with pytest.raises(MealkitError):
        write_proposed_kit(tmp_path / "kit", proposal, SCHEMA)
    assert list(tmp_path.iterdir()) == []
