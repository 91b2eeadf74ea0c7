"""The house: its drawing, its contracts and its sizes are what the documents say."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

import mealkit
from mealkit.assembly.shipped import SHIPPED_ROOMS

PACKAGE = Path(mealkit.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

# Engines have a file for each part, and a verb of the command line has the name of what it does.
_REPEATED = re.compile(r"engines/\w+/\w+\.py|cli/\w+\.py|(runtime/)?__main__\.py")
_LONGEST_MODULE_LINES = 400
_LONGEST_FUNCTION_LINES = 60


def contracts() -> dict[str, dict]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return {item["name"]: item for item in settings["tool"]["importlinter"]["contracts"]}


def layers() -> list[set[str]]:
    return [set(layer.split(" | ")) for layer in contracts()["Data flows one way"]["layers"]]


def drawing() -> list[dict[str, str]]:
    """Return the drawing's layers: each room with its mark, which is empty where there is none."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    box = page[page.index("┌") : page.index("┘")]
    rows = [re.findall(r"│ (\w+)(?: (\(?●\)?))?  ", line) for line in box.splitlines()]
    return [dict(row) for row in rows if row]


def test_the_drawing_is_what_is_enforced():
    """The rooms of docs/architecture.md lie as the import contract has them."""
    assert [set(row) for row in drawing()] == layers()


def test_the_drawing_marks_what_ships():
    """A room with a dot is one that ships, whole."""
    marked = {room for row in drawing() for room, mark in row.items() if mark == "●"}
    assert marked == set(SHIPPED_ROOMS)


def test_every_room_has_a_paragraph():
    """docs/architecture.md says of each room what it is for."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rooms = set().union(*layers())
    assert rooms <= set(re.findall(r"\*\*(\w+)\*\*", page))


def test_every_module_is_found_by_its_name():
    """No two modules of different rooms have the same name, but for parts of engines and verbs."""
    found = defaultdict(list)
    for path in MODULES:
        name = path.relative_to(PACKAGE).as_posix()
        if not _REPEATED.fullmatch(name):
            found[path.stem].append(name)
    assert {stem: names for stem, names in found.items() if len(names) > 1} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_modules_and_functions_are_short(path):
    """No module is longer than 400 lines, but for the catalogue's table; no function than 60."""
    text = path.read_text("utf-8")
    if path.name != "errors.py":
        assert len(text.splitlines()) <= _LONGEST_MODULE_LINES
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, functions):
            # A verb's signature is its table of options.
            lines = (node.end_lineno or 0) - node.body[0].lineno
            assert lines < _LONGEST_FUNCTION_LINES, node.name
