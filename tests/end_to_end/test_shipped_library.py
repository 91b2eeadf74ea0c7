"""The code that an image carries is whole: it runs from its layer, with mealkit nowhere else."""

import io
import json
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fakes.little import OFFLINE, Heard, little_kit

from mealkit.assembly.shipped import BUILD_HALF, SHIPPED_ROOMS
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.stores.local import LocalStore

LIBRARY = "opt/mealkit/lib"

# Imports modules, and says where mealkit's came from.
PROGRAM = """
import importlib, json, sys
library, packages, *modules = sys.argv[1:]
sys.path[:0] = [library]
sys.path.append(packages)
for module in modules:
    importlib.import_module(module)
files = {name: getattr(found, "__file__", None) for name, found in list(sys.modules.items())}
print(json.dumps({name: file for name, file in files.items() if name.partition(".")[0] == "mealkit"}))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """What a little kit's image has at /opt/mealkit/lib."""
    folder = tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit, home = little_kit(folder / "kit"), home_at(folder / "home")
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    image = LocalStore(home.store).image(str(report.digest))
    (layer,) = [
        item for item in image.layers if item.annotations.get("dev.mealkit.layer") == "gateway"
    ]
    data = b"".join(bytes(chunk) for chunk in layer.blob.chunks())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(
            folder / "root",
            members=[item for item in archive if item.name.startswith(f"{LIBRARY}/")],
            filter="data",
        )
    return folder / "root" / LIBRARY


def isolated(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program isolated and without site: no checkout and no editable install is found."""
    command = [sys.executable, "-I", "-S", "-B", "-c", program, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, **options
    )


def modules_of(library: Path) -> list[str]:
    names = []
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_every_shipped_module_imports_from_the_layer_alone(library):
    """Nothing is missing, and nothing comes from outside the layer."""
    modules = modules_of(library)
    assert {
        "mealkit.runtime.life.launch",
        "mealkit.runtime.gateway.routes",
        "mealkit.worker.host",
    } <= set(modules)
    modules.remove("mealkit.runtime.__main__")  # it runs
    packages = sysconfig.get_path("purelib")
    done = isolated(PROGRAM, str(library), packages, *modules)
    assert done.returncode == 0, done.stderr
    for name, file in json.loads(done.stdout).items():
        assert file is None or Path(file).is_relative_to(library), name


def test_nothing_ships_that_only_builds(library):
    """The build half, of the engine too, and other engines stay outside."""
    rooms = {path.stem for path in (library / "mealkit").iterdir()}
    assert rooms == {"__init__", "engines", *SHIPPED_ROOMS}
    assert not [path for name in BUILD_HALF for path in library.rglob(name)]
    assert not list(library.rglob("__pycache__"))
    assert (library / "mealkit" / "engines" / "onnx" / "worker.py").is_file()


def test_the_entrypoint_says_what_it_lacks(library):
    """``python -m mealkit.runtime`` in an empty place ends with one problem as JSON."""
    packages = sysconfig.get_path("purelib")
    program = (
        "import runpy, sys; sys.path[:0] = [sys.argv[1]]; sys.path.append(sys.argv[2]); "
        "sys.argv = ['mealkit.runtime']; runpy.run_module('mealkit.runtime', run_name='__main__')"
    )
    done = isolated(
        program,
        str(library),
        packages,
        env={"MEALKIT_PORT": "0", "MEALKIT_HOST": "127.0.0.1"},
    )
    lines = (done.stdout + done.stderr).splitlines()
    last = json.loads(lines[-1])
    assert last["code"] in {"LOCK_MISSING", "CONFIG_INVALID"}
    assert done.returncode != 0
