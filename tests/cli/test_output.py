"""Tables line up, differences are readable, and nothing that is printed can steer a terminal."""

from mealkit.cli.changes import change_lines
from mealkit.cli.output import print_problem, printable, table
from mealkit.errors import problem
from mealkit.lock.compare import Change


def test_columns_line_up():
    """Numbers to the right, the rest to the left, no blanks at the end."""
    lines = table(("name", "size"), [("soup", "9 B"), ("a", "1.0 GiB")], frozenset({1}))
    assert lines == ["name     size", "soup      9 B", "a     1.0 GiB"]


def test_control_characters_are_shown():
    """Newlines, tabs and other languages stay."""
    assert printable("a\x1b[31mb\rc\u202ed") == "a\\x1b[31mb\\rc\\u202ed"
    assert printable("größe\n\t日本") == "größe\n\t日本"


def test_a_long_message_is_indented(capsys):
    """The tail of a log stays below its problem."""
    print_problem(problem("CONTAINER_FAILED", "it ended with\nline one\nline two", where="soup"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error[CONTAINER_FAILED] it ended with"
    assert lines[1:3] == ["  line one", "  line two"]
    assert lines[3:5] == ["  where soup", "  owner platform"]


def test_a_short_change_is_one_line():
    """What is absent is called nothing; other values are JSON."""
    changes = [Change("a.b", 1, None), Change("c", None, "x"), Change("d", True, [1])]
    assert list(change_lines(changes)) == ["a.b: 1 -> nothing", "c: nothing -> x", "d: true -> [1]"]


def test_changed_lines_of_a_text_are_a_block():
    """Before and after, each line marked."""
    lines = list(change_lines([Change("prompts.q.text:3", "old\nlines", "new")]))
    assert lines == ["prompts.q.text:3:", "  - old", "  - lines", "  + new"]
