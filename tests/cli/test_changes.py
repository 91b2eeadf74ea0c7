"""How the differences between recipes are shown."""

import pytest

from mealkit.cli.changes import TITLES, change_lines, grouped_lines
from mealkit.lock.compare import Change
from mealkit.recipe.answers import Effect


def lines(*changes):
    return list(change_lines(changes))


def test_a_long_value_is_cut():
    """A value that is not a text is shown up to 200 characters; a text is shown line by line."""
    (line,) = lines(Change("data_profile", None, {"counts": [7] * 1000}))
    assert line.startswith("data_profile: added counts 7, counts 7")
    assert line.endswith("... (--json shows all)")
    assert len(line) < 300
    shown = lines(Change("prompts.a", "one\n", "two\n" * 300))
    assert len(shown) == 204
    assert shown[-1] == "  + ... and 101 more lines"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("a.b", 1, 2), "a.b: 1 -> 2"),
        (Change("a.b", None, True), "a.b: nothing -> true"),
        (
            Change("engine.packages.tabulate", None, {"name": "tabulate", "version": "0.9.0"}),
            "engine.packages.tabulate: added 0.9.0",
        ),
        (
            Change("model.files.a.json", {"path": "a.json", "sha256": f"sha256:{'ab' * 32}"}, None),
            "model.files.a.json: removed sha256:abababababab",
        ),
        (
            Change("claims.sts", None, {"name": "sts", "value": 0.8, "notes": [], "data": None}),
            "claims.sts: added name sts, value 0.8",
        ),
    ],
)
def test_a_change_is_one_line(change, line):
    """An item is told by its version or digest, and never as JSON."""
    assert lines(change) == [line]


def test_changes_are_grouped_by_what_they_do():
    """Each effect has a title, and the strongest is first."""
    changes = [Change(effect.value, 1, 2, effect) for effect in Effect]
    assert list(grouped_lines(changes)) == [
        "changes answers",
        "  changes: 1 -> 2",
        "may change answers",
        "  may-change: 1 -> 2",
        "does not change answers",
        "  keeps: 1 -> 2",
    ]
    assert set(TITLES) == {effect.value for effect in Effect}
