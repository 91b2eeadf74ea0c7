"""What ships in an image is whole: nothing in it imports what is not in it."""

import ast

import pytest

from mealkit.assembly.shipped import shipped_library
from mealkit.engines.registry import engine_names


def imported(source: bytes) -> set[str]:
    """Return the modules of mealkit that a module imports, also within functions."""
    found = set()
    for node in _running(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.partition(".")[0] == "mealkit"}


def _running(node: ast.AST):
    """Walk through what runs: not what is there for the type checker alone."""
    yield node
    typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in node.orelse if typing else ast.iter_child_nodes(node):
        yield from _running(child)


@pytest.mark.parametrize("engine", engine_names())
def test_nothing_imports_what_is_left_out(engine):
    """Whatever a shipped module imports, at the start or later, ships too."""
    library = shipped_library(engine)
    modules = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in library
    }
    for path, source in library.items():
        if path.endswith(".py"):
            assert imported(source) <= modules | {"mealkit"}, path
