"""mealkit's own code for the image: the rooms that the gateway and the workers import.

This is the one statement of what ships. The import contract in pyproject.toml, the drawing in
docs/architecture.md and the tests are compared with it.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

SHIPPED_ROOMS = (
    "errors", "paths", "seccomp", "units", "untrusted", "names", "digest", "strings", "templating",
    "memory", "evidence", "recipe", "worker", "preflight", "runtime",
)  # fmt: skip
"""Rooms of which every module ships. Of ``engines``, one engine's folder does, too."""

BUILD_HALF = "engine.py"
"""The module of an engine's folder that stays outside: what the engine says of a kit."""

# Modules, and the template and style of the page that the gateway shows.
_ENDINGS = (".py", ".jinja", ".css")


def shipped_library(engine: str) -> dict[str, bytes]:
    """Return the modules that a kit with this engine needs in its image.

    By their path below the package's parent folder. An engine that does not come with mealkit
    adds none: its worker is in one of the kit's own wheels.
    """
    root = files("mealkit")
    library: dict[str, bytes] = {}
    # A hyphen in an engine's name is an underscore in its folder's: llama-cpp, llama_cpp.
    engine_names = ("__init__.py", "memory.py", engine.replace("-", "_"))
    _collect(root.joinpath("__init__.py"), "mealkit/__init__.py", library)
    for name in (*SHIPPED_ROOMS, *(f"engines/{name}" for name in engine_names)):
        module = root.joinpath(f"{name}.py")
        found, path = (module, f"{name}.py") if module.is_file() else (root.joinpath(name), name)
        _collect(found, f"mealkit/{path}", library)
    return library


def _collect(item: Traversable, path: str, library: dict[str, bytes]) -> None:
    if item.is_dir():
        for child in item.iterdir():
            _collect(child, f"{path}/{child.name}", library)
    elif path.endswith(_ENDINGS) and not path.endswith(f"/{BUILD_HALF}") and item.is_file():
        library[path] = item.read_bytes()
