"""mealkit's own code for the image: the modules that the gateway and the workers import."""

from importlib.resources import files
from importlib.resources.abc import Traversable

# Of these rooms the image needs only the models.
_MODULES = (
    "__init__.py",
    "errors.py",
    "digest.py",
    "names.py",
    "untrusted.py",
    "seccomp.py",
    "kit/__init__.py",
    "kit/classify.py",
    "kit/model.py",
    "kit/strings.py",
    "kit/units.py",
    "templating",
    "lock/__init__.py",
    "lock/model.py",
    "lock/origins.py",
    "engines/__init__.py",
    "engines/endpoints",
    "engines/generation",
    "engines/tokenizer",
    "engines/encoding_values.py",
    "engines/generation_values.py",
    "engines/host.py",
    "engines/measuring.py",
    "engines/model_files.py",
    "engines/room.py",
    "engines/schema_limits.py",
    "engines/serve.py",
    "engines/stream.py",
    "engines/turns.py",
    "engines/worker.py",
)
_ROOMS = ("preflight", "runtime")
# Modules, and the template and style of the page that the gateway shows.
_ENDINGS = (".py", ".jinja", ".css")
# The build side of an engine stays outside.
_RECIPE = "recipe.py"


def shipped_library(engine: str) -> dict[str, bytes]:
    """Return the modules that a kit with this engine needs in its image.

    By their path below the package's parent folder. An engine that does not come with mealkit
    adds none: its worker is in one of the kit's own wheels.
    """
    root = files("mealkit")
    library: dict[str, bytes] = {}
    # A hyphen in an engine's name is an underscore in its folder's: llama-cpp, llama_cpp.
    for name in (*_MODULES, *_ROOMS, f"engines/{engine.replace('-', '_')}"):
        _collect(root.joinpath(name), f"mealkit/{name}", library)
    return library


def _collect(item: Traversable, path: str, library: dict[str, bytes]) -> None:
    if item.is_dir():
        for child in item.iterdir():
            _collect(child, f"{path}/{child.name}", library)
    elif path.endswith(_ENDINGS) and not path.endswith(f"/{_RECIPE}") and item.is_file():
        library[path] = item.read_bytes()
