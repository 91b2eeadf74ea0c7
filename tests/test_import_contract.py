"""The import contract in pyproject.toml: it says what the code says, and a violation breaks it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mealkit
from mealkit.assembly.shipped import SHIPPED_ROOMS

PACKAGE = Path(mealkit.__file__).parent
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
LINTER = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]


def contract(name: str) -> dict[str, list[str]]:
    (found,) = (item for item in LINTER["contracts"] if item["name"] == name)
    return found


def rooms_of(modules: list[str]) -> set[str]:
    return {name.removeprefix("mealkit.") for name in modules if name.startswith("mealkit.")}


def test_the_contract_names_the_rooms_that_ship():
    """Exactly those of the one statement; all others of the layers are forbidden to them."""
    layers = contract("Data flows one way")["layers"]
    rooms = {room.strip() for layer in layers for room in layer.split("|")}
    halves = contract("The container half never sees the build half")
    assert rooms_of(halves["source_modules"]) == set(SHIPPED_ROOMS)
    assert rooms_of(halves["forbidden_modules"]) == rooms - set(SHIPPED_ROOMS)


def lint(folder: Path) -> str:
    """What the linter says of a copy of the package, by the project's own contracts."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", PROJECT]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


PLANTED = {
    # In an upper room's place, and of a room that does not ship although the order allows it.
    "Data flows one way": ("memory/terms.py", "mealkit.recipe.kit"),
    "The container half never sees the build half": ("runtime/state.py", "mealkit.oci.image"),
    "What ships of an engine never sees the build half": (
        "engines/onnx/worker.py",
        "mealkit.engines.onnx.engine",
    ),
    "Pure rooms do no I/O": ("plan/layers.py", "subprocess"),
    "Builders are handed inputs, they do not fetch them": (
        "assembly/lean.py",
        "mealkit.stores.local",
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> str:
    """The linter's report of a copy with one import too many for each contract."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(PACKAGE, folder / "mealkit", ignore=shutil.ignore_patterns("__pycache__"))
    assert "5 broken" not in lint(folder)
    for path, module in PLANTED.values():
        file = folder / "mealkit" / path
        file.write_text(f"import {module}\n{file.read_text()}")
    return lint(folder)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_import_breaks_its_contract(broken, name):
    """The report names the contract, and the module that imports what it must not."""
    path, _ = PLANTED[name]
    importer = "mealkit." + path.removesuffix(".py").replace("/", ".")
    assert f"{name} BROKEN" in broken
    _, _, explained = broken.partition("Broken contracts")
    assert importer in explained
