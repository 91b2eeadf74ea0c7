"""What ships in the image imports nothing that does not ship; each import in a fresh interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mealkit
from mealkit.assembly.shipped import BUILD_HALF, SHIPPED_ROOMS

BUILD_ONLY = {"docker", "typer", "rich", "yaml", "httpx2", "huggingface_hub"}
WORKERS = sorted(
    f"mealkit.engines.{path.parent.name}.worker"
    for path in Path(mealkit.__file__).parent.glob("engines/*/worker.py")
)
_LIBRARY = Path(mealkit.__file__).parent


def modules_of(room: str) -> list[str]:
    """Return the modules of a room that can be imported without running something."""
    return sorted(
        ".".join(("mealkit", *path.relative_to(_LIBRARY).with_suffix("").parts))
        for path in [_LIBRARY / f"{room}.py", *_LIBRARY.glob(f"{room}/**/*.py")]
        if path.is_file() and path.stem not in {"__init__", "__main__"}
    )


def closure(*modules: str) -> set[str]:
    program = f"import sys, json, {', '.join(modules)}; json.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return set(json.loads(done.stdout))


def is_shipped(module: str) -> bool:
    rooms = (*SHIPPED_ROOMS, "engines")
    return module == "mealkit" or (
        module.split(".")[1] in rooms and f"{module.rpartition('.')[2]}.py" not in BUILD_HALF
    )


def foreign(modules: set[str]) -> set[str]:
    """Return what belongs neither to mealkit nor to the standard library."""
    bare = closure("sys")
    tops = {module.partition(".")[0] for module in modules - bare}
    # The standard library makes some of its own as it runs: _sysconfigdata_..., __mp_main__.
    tops = {top for top in tops if not top.startswith("_")}
    return tops - sys.stdlib_module_names - {"mealkit"}


@pytest.mark.parametrize("room", SHIPPED_ROOMS)
def test_shipped_rooms_import_only_what_ships(room):
    """No room of the image pulls in the build half, or a package that is not in the image."""
    assert_ships(closure(*modules_of(room)))


@pytest.mark.parametrize("worker", WORKERS)
def test_workers_import_only_what_ships(worker):
    """No engine's worker pulls in the build half, or a package that is not in the image."""
    assert_ships(closure(worker))


def assert_ships(modules: set[str]) -> None:
    strangers = {name for name in modules if name.startswith("mealkit") and not is_shipped(name)}
    assert strangers == set()
    assert not BUILD_ONLY & {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    "module", ["mealkit.worker.host", "mealkit.runtime.life.worker_main", *WORKERS]
)
def test_worker_process_is_standard_library_until_it_loads(module):
    """The worker's process shares no package with the gateway, so their pins cannot fight."""
    modules = closure(module)
    assert foreign(modules) == set()
    rooms = {".".join(name.split(".")[:2]) for name in modules if name.startswith("mealkit")}
    ours = ("errors", "untrusted", "addresses", "engines", "recipe", "worker", "runtime")
    assert rooms <= {"mealkit", *(f"mealkit.{room}" for room in ours)}


def test_socket_opens_before_anything_heavy_is_imported():
    """The launcher opens its socket before pydantic and the server are imported."""
    assert foreign(closure("mealkit.runtime.life.launch")) == set()


def test_gateway_needs_only_its_stated_packages():
    """The gateway's third-party modules come from its requirements and what those need."""
    stated = {
        "jinja2", "starlette", "uvicorn", "h11", "prometheus_client", "pydantic",
        # what those need
        "annotated_types", "anyio", "click", "idna", "markupsafe", "pydantic_core", "sniffio",
        "typing_extensions", "typing_inspection",
    }  # fmt: skip
    assert foreign(closure("mealkit.runtime.life.serving")) <= stated
