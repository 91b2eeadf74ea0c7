"""How the differences between recipes are shown."""

from mealkit.cli.changes import change_lines
from mealkit.lock.compare import Change


def test_a_long_value_is_cut():
    """A value that is not a text is shown up to 400 characters; a text is shown line by line."""
    (line,) = change_lines([Change("data_profile", None, {"counts": [0] * 1000})])
    assert line.startswith('data_profile: nothing -> {"counts": [0, 0')
    assert line.endswith("... (3012 characters)")
    assert len(line) < 500
    lines = list(change_lines([Change("prompts.a", "one\n", "two\n" * 300)]))
    assert len(lines) > 300
