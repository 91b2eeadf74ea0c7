"""In the container an engine's traits are those in its own folder, or those of one that is unknown."""

import subprocess
import sys

import pytest

from mealkit.engines.registry import engine_names
from mealkit.engines.registry import traits_of as registered
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.engine_traits import traits_of


@pytest.mark.parametrize("name", engine_names())
def test_they_are_those_of_the_build_side(name):
    """So that a kit is judged alike before and after it was built."""
    assert traits_of(name) == registered(name)


@pytest.mark.parametrize("name", ["house-made", "memory", "vllm.memory", "demand", "vllm.serve"])
def test_another_engine_has_none(name):
    """Whatever its name leads to in mealkit's own package."""
    assert traits_of(name) == EngineTraits()


def test_a_damaged_folder_is_no_unknown_engine(tmp_path):
    """An import that is missing within the folder is an error, not an engine without traits."""
    folder = tmp_path / "mealkit" / "engines" / "broken"
    folder.mkdir(parents=True)
    (folder / "traits.py").write_text("import mealkit.engines.broken.memory\n")
    program = (
        "import mealkit.engines, sys; mealkit.engines.__path__.append(sys.argv[1]);"
        "from mealkit.runtime.engine_traits import traits_of; traits_of('broken')"
    )
    command = [sys.executable, "-c", program, str(folder.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No module named 'mealkit.engines.broken.memory'" in done.stderr
