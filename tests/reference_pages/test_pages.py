"""The reference pages are what the code writes, and a stale one is found."""

from pathlib import Path

import pytest

from mealkit.cli.program import verb_names
from mealkit.errors import CATALOGUE
from mealkit.recipe.kit import Kit
from reference_pages.pages import main, pages, stale_pages

_COMMITTED = Path(__file__).parents[2] / "docs" / "reference"


def test_the_committed_pages_are_fresh():
    """``make docs`` writes them again."""
    assert stale_pages(_COMMITTED) == []


@pytest.mark.parametrize("name", list(pages()))
def test_a_stale_page_is_found_and_named(name, tmp_path, capsys):
    """Changed or missing, the check fails."""
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    with (tmp_path / name).open("a") as page:
        page.write("edited by hand\n")
    assert main(["--check", str(tmp_path)]) == 1
    assert name in capsys.readouterr().err
    (tmp_path / name).unlink()
    assert stale_pages(tmp_path) == [name]


def test_the_pages_do_not_depend_on_the_terminal(monkeypatch):
    """Nor on its width, nor on the user's settings."""
    before = pages()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("MEALKIT_HOME", "/elsewhere")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert pages() == before


def test_nothing_is_left_out():
    """Every verb, every code, every field."""
    found = pages()
    assert all(f"\n## mealkit {verb}\n" in found["cli.md"] for verb in verb_names())
    assert all(f"| `{code}` |" in found["problems.md"] for code in CATALOGUE)
    names = [field.alias or name for name, field in Kit.model_fields.items()]
    assert all(f"`{name}`" in found["kit.md"] for name in names)
