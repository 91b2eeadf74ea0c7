"""Every promise of docs/explanation/threat-model.md has a test, and the test is there."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/explanation/threat-model.md"
HEAD = ("promise", "mechanism", "shown by")
MODULE = re.compile(r"`([a-z_]+(?:/[a-z_]+)+)`")
LINK = re.compile(r"\[(test_\w+)\]\(([^)\s]+\.py)\)")


@dataclass(frozen=True)
class Promise:
    """A row of a table of promises."""

    text: str
    mechanism: str
    shown_by: str

    def faults(self, folder: Path) -> list[str]:
        """Return what is missing to make this promise one."""
        if not self.mechanism:
            return [f"{self.text}: no mechanism"]
        tests = LINK.findall(self.shown_by)
        if not tests:
            return [f"{self.text}: no test"]
        return [
            f"{self.text}: {file} has no {name}"
            for name, file in tests
            if name not in functions((folder / file).resolve())
        ]


@cache
def functions(file: Path) -> frozenset[str]:
    """Return the names of a file's test functions, in classes too; none if there is no file."""
    if not file.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(file.read_text()))
    return frozenset(
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def rows(text: str) -> list[tuple[str, ...]]:
    """Return the cells of every row of every table."""
    lines = (line.strip() for line in text.splitlines())
    return [
        tuple(cell.strip() for cell in line.strip("|").split(" | "))
        for line in lines
        if line.startswith("|") and set(line) - set("|-: ")
    ]


def promises(text: str) -> list[Promise]:
    """Return the rows of all tables whose head says promise, mechanism, shown by."""
    found, inside = [], False
    for cells in rows(text):
        if cells == HEAD:
            inside = True
        elif len(cells) != len(HEAD):
            inside = False
        elif inside:
            found.append(Promise(*cells))
    return found


PROMISES = promises(PAGE.read_text())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.text[:60])
def test_every_promise_has_a_test(promise):
    """A promise names its mechanism and at least one test function that exists."""
    assert promise.faults(PAGE.parent) == []


def test_every_module_that_a_mechanism_names_exists():
    """`room/module` in the column `mechanism` is a file of mealkit/."""
    named = {name for promise in PROMISES for name in MODULE.findall(promise.mechanism)}
    package = PAGE.parents[2] / "mealkit"
    assert named
    assert {name for name in named if not (package / f"{name}.py").is_file()} == set()


def test_every_chapter_of_who_may_be_hostile_promises_something():
    """Each heading below `What is promised` has a table with promises."""
    text = PAGE.read_text().partition("\n## What is promised\n")[2].partition("\n## ")[0]
    chapters = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [chapter.splitlines()[0] for chapter in chapters if not promises(chapter)] == []
    assert len(chapters) >= 10
    assert sum(len(promises(chapter)) for chapter in chapters) == len(PROMISES)


def test_a_promise_without_a_test_is_found():
    """A row without a link, or with a test that is not there, is a fault."""
    head = "| promise | mechanism | shown by |\n|---|---|---|\n"
    bare, gone, good = promises(
        f"{head}| a | b | soon |\n"
        "| c | d | [test_that_is_not_there](../../tests/docs/test_threat_model.py) |\n"
        "| e | f | [test_every_promise_has_a_test](../../tests/docs/test_threat_model.py) |\n"
    )
    assert bare.faults(PAGE.parent) == ["a: no test"]
    assert "has no test_that_is_not_there" in gone.faults(PAGE.parent)[0]
    assert good.faults(PAGE.parent) == []
