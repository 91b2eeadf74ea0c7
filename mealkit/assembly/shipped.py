"""mealkit's own code for the image: the rooms that the gateway and the workers import.

This is the one statement of what ships. The import contract in pyproject.toml, the drawing in
docs/architecture.md and the tests are compared with it.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

from mealkit.recipe.traits import engine_package

SHIPPED_ROOMS = (
    "addresses", "errors", "paths", "refusal", "seccomp", "units", "untrusted", "names", "digest",
    "strings", "templating", "memory", "evidence", "recipe", "worker", "acceptance", "contract",
    "preflight", "ledger", "auditlog", "runtime",
)  # fmt: skip
"""Rooms of which every module ships. Of ``engines`` the folder of the kit's engine ships, too."""

BUILD_HALF = ("engine.py", "new")
"""The parts of an engine's folder that do not ship: its build side, and the kit of mealkit new."""

# Modules, and the templates, scripts and style of the page that the gateway shows.
_ENDINGS = (".py", ".jinja", ".css", ".js")


def shipped_library(engine: str) -> dict[str, bytes]:
    """Return the modules that a kit with this engine needs in its image.

    The keys are paths below the package's parent folder. An engine from outside mealkit adds no
    modules: its worker is in one of the kit's own wheels.
    """
    root = files("mealkit")
    library: dict[str, bytes] = {}
    for name in ("__init__", *SHIPPED_ROOMS, "engines/__init__"):
        module = root.joinpath(f"{name}.py")
        found, path = (module, f"{name}.py") if module.is_file() else (root.joinpath(name), name)
        _collect(found, f"mealkit/{path}", library)
    folder = engine_package(engine).replace(".", "/")
    own = root.joinpath(folder.removeprefix("mealkit/"))
    for child in own.iterdir() if own.is_dir() else ():
        if child.name not in BUILD_HALF:
            _collect(child, f"{folder}/{child.name}", library)
    return library


def _collect(item: Traversable, path: str, library: dict[str, bytes]) -> None:
    if item.is_dir():
        for child in item.iterdir():
            _collect(child, f"{path}/{child.name}", library)
    elif path.endswith(_ENDINGS) and item.is_file():
        library[path] = item.read_bytes()
