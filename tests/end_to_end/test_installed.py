"""The wheel works where there is no checkout: templates travel, kits are begun and built."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from fakes.little import OFFLINE, little_kit
from fakes.served import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, made by the project's own backend without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(
        [*command, str(ROOT)], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def mealkit(wheel: Path, tmp_path_factory) -> Path:
    """The program, installed from the wheel into a fresh environment beside its dependencies."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    done = subprocess.run(
        [*pip, "--quiet", "--no-deps", "--no-index", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A folder named in a .pth file is put on the path, but its own .pth files are not read: the
    # dependencies are there, the editable install of this checkout is not.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "mealkit"


def call(program: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env={**environment, **OFFLINE, "MEALKIT_HOME": str(cwd / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_wheel_holds_code_templates_and_licence_only(wheel):
    """Neither tests nor kits travel; templates and the marker for type checkers do."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "mealkit/py.typed" in names
    assert "mealkit/_templates/Dockerfile.jinja" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert "mealkit" in tops


def test_it_runs_from_the_wheel_and_not_from_the_checkout(mealkit, tmp_path):
    """What is imported lies in the fresh environment."""
    python = mealkit.parent / "python"
    program = "import mealkit, pydantic; print(mealkit.__file__)"
    found = call(python, tmp_path, "-c", program).stdout.strip()
    assert Path(found).is_relative_to(mealkit.parent.parent)


def test_a_kit_is_begun_and_checked_outside_the_checkout(mealkit, tmp_path):
    """``new`` finds templates and models in the wheel; what it writes passes ``check``."""
    call(mealkit, tmp_path, "new", "soup", "--task", "reranking")
    assert (tmp_path / "soup" / "model" / "model.safetensors").is_file()
    assert call(mealkit, tmp_path, "check", "soup").returncode == 0


def test_a_kit_is_built_and_rendered_outside_the_checkout(mealkit, tmp_path):
    """The shipped library and the Dockerfile's template come out of the wheel too."""
    little_kit(tmp_path / "kit")
    built = call(mealkit, tmp_path, "build", "kit").stdout.strip()
    assert built.startswith("sha256:")
    call(mealkit, tmp_path, "render", "kit", "--output", "out")
    assert "FROM " in (tmp_path / "out" / "Dockerfile").read_text()
    library = tmp_path / "out" / "layers"
    assert list(library.rglob("mealkit/runtime/life/launch.py"))
    # The checkout's own mealkit makes the same image of it.
    done = subprocess.run(
        [sys.executable, "-m", "mealkit", "--quiet", "build", str(tmp_path / "kit")],
        env={**os.environ, **OFFLINE, "MEALKIT_HOME": str(tmp_path / "home2")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == built
