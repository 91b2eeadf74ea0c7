"""mealkit's own code for the image: the modules that the gateway and the workers import."""

from importlib.resources import files
from importlib.resources.abc import Traversable

# Whole rooms, and single modules of rooms of which the image needs only the models.
_SHIPPED = (
    "__init__.py",
    "errors.py",
    "digest.py",
    "kit/__init__.py",
    "kit/classify.py",
    "kit/model.py",
    "kit/units.py",
    "lock/__init__.py",
    "lock/model.py",
    "preflight",
    "engines",
    "runtime",
)


def shipped_library() -> dict[str, bytes]:
    """Return the shipped modules' bytes, by their path below the package's parent folder."""
    root = files("mealkit")
    library: dict[str, bytes] = {}
    for name in _SHIPPED:
        _collect(root.joinpath(name), f"mealkit/{name}", library)
    return library


def _collect(item: Traversable, path: str, library: dict[str, bytes]) -> None:
    if item.is_dir():
        for child in item.iterdir():
            _collect(child, f"{path}/{child.name}", library)
    elif path.endswith(".py"):
        library[path] = item.read_bytes()
