"""A kit's script runs in its folder, gets no input, and tells how it ended."""

import pytest

from mealkit.errors import KitError
from mealkit.sources.kit_script import run_kit_script


def test_a_script_makes_its_files_beside_itself(tmp_path, capfd):
    """In its own folder, with this process's environment; what it says is not a result."""
    script = tmp_path / "make it.sh"
    script.write_text('echo "at $HOME"; cat > made')
    run_kit_script(script)
    assert (tmp_path / "made").read_text() == ""
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.startswith("at /")


def test_a_script_that_fails_is_the_kits_problem(tmp_path):
    """With its code, and the command that runs it again."""
    script = tmp_path / "make it.sh"
    script.write_text("exit 7")
    with pytest.raises(KitError) as caught:
        run_kit_script(script)
    (found,) = caught.value.problems
    assert (found.code, found.where) == ("KIT_PREPARE", str(script))
    assert "ended with code 7" in found.message
    assert found.hint.endswith(f"bash '{script}'")


def test_without_bash_nothing_runs(tmp_path, monkeypatch):
    """The problem says what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KitError, match="needs bash, which is not here"):
        run_kit_script(tmp_path / "make.sh")
