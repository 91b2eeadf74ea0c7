"""While the files that a kit's script makes are missing, the script is named."""

import pytest
from fakes.kits import KIT
from fakes.little import write_kit

from mealkit.errors import KitError
from mealkit.kit.load import load_kit


def made(folder, **runtime):
    form = {**KIT, "runtime": {**KIT["runtime"], **runtime}}
    write_kit(folder, form)
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts" / "query.jinja").write_text("{{ text }}")
    return folder


def problem_of(folder):
    with pytest.raises(KitError) as caught:
        load_kit(folder)
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize("named", ["wheels", "wheels/made-1-py3-none-any.whl", "empty"])
def test_missing_wheels_name_the_script(tmp_path, named):
    """A folder that is not there or has no wheel, and a wheel: as a line for the shell."""
    folder = made(tmp_path / "a kit", wheels=[named], prepare="make.sh")
    (folder / "make.sh").write_text("exit 0")
    (folder / "empty").mkdir()
    found = problem_of(folder)
    assert found.code == "KIT_FILE_MISSING"
    assert found.hint == f"make it: bash '{folder}/make.sh'"


def test_without_a_script_the_usual_fix_is_named(tmp_path):
    """Create the file, or correct its path."""
    found = problem_of(made(tmp_path / "kit", wheels=["wheels"]))
    assert "bash" not in found.hint


def test_a_script_has_to_be_there(tmp_path):
    """And in the kit's own folder."""
    found = problem_of(made(tmp_path / "kit", prepare="make.sh"))
    assert (found.code, found.message) == (
        "KIT_FILE_MISSING",
        "runtime.prepare: make.sh does not exist",
    )
    found = problem_of(made(tmp_path / "other", prepare="../make.sh"))
    assert found.code in {"KIT_INVALID", "KIT_PATH_OUTSIDE"}
