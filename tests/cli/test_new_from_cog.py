"""``mealkit new NAME --from cog FOLDER``: a kit that holds, and every difference told."""

import json

from fakes.cog_projects import GREETING, LADEN, write_project


def test_a_kit_is_written_and_holds(mealkit, tmp_path):
    """The path on stdout, what to do next on stderr."""
    write_project(tmp_path / "cog-soup", GREETING)
    result = mealkit("new", "soup", "--from", "cog", "cog-soup")
    assert (result.returncode, result.stdout) == (0, "soup/kit.yaml\n")
    assert "not carried over" not in result.stderr
    assert mealkit("check", "soup").stdout == "soup 0.1.0 is valid\n"
    assert json.loads((tmp_path / "soup" / "kit.schema.json").read_text())


def test_what_is_left_out_is_said(mealkit, tmp_path):
    """On stderr, and in the kit's README.md."""
    write_project(tmp_path / "cog-soup", LADEN)
    result = mealkit("new", "soup", "--from", "cog", "cog-soup")
    assert result.returncode == 0
    assert "not carried over: build.system_packages: libsm6=2:1.2: " in result.stderr
    assert "build.system_packages: libsm6" in (tmp_path / "soup" / "README.md").read_text()
    assert mealkit("check", "soup").returncode == 0


def test_nothing_is_written_for_what_cannot_be_read(mealkit, tmp_path):
    """Another kind, another engine, no project, or a place that is taken."""
    write_project(tmp_path / "cog-soup", GREETING)
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (("soup", "--from", "dish", "cog-soup"), "choose one of cog"),
        (("soup", "--from", "cog", "cog-soup", "--engine", "onnx"), "the engine python, not onnx"),
        (("soup", "--from", "cog", "empty"), "empty has no cog.yaml"),
        (("soup", "--from", "cog", "https://example.invalid/a"), "clone it, and name its folder"),
        (("soup", "--from", "cog", "cog-soup/predict.py"), "is a file, not a folder"),
        (("soup", "--from", "cog", "nowhere"), "there is no folder nowhere"),
        (("Soup", "--from", "cog", "cog-soup"), "is not a valid name for a kit"),
        (("cog-soup", "--from", "cog", "cog-soup"), "KIT_EXISTS"),
    ):
        result = mealkit("new", *arguments)
        code = 2 if "error[USAGE]" in result.stderr else 3
        assert (result.returncode, result.stdout) == (code, "")
        assert said in result.stderr
    assert not (tmp_path / "soup").exists()
