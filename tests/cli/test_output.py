"""Tables line up, differences are readable, and nothing that is printed can steer a terminal."""

import json
from dataclasses import replace

from mealkit.cli.changes import change_lines
from mealkit.cli.output import (
    json_text,
    print_json,
    print_problem,
    print_problems_json,
    printable,
    printable_line,
    table,
)
from mealkit.errors import OwnerContact, problem
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
    """What is absent is called nothing; the items of a list stand side by side."""
    changes = [Change("a.b", 1, None), Change("c", None, "x"), Change("d", True, [1, "b"])]
    assert list(change_lines(changes)) == [
        "a.b: 1 -> nothing",
        "c: nothing -> x",
        "d: true -> 1, b",
    ]


def test_a_new_item_is_shown_without_its_empty_fields():
    """A claim has some twenty fields, and most kits set eight."""
    claim = {"name": "a", "url": None, "slices": [], "ask": {"kind": "b", "parameters": {}}, "n": 0}
    (line,) = change_lines([Change("claims.a", None, claim)])
    assert line == "claims.a: added name a, ask.kind b, n 0"


def test_changed_lines_of_a_text_are_a_block():
    """Before and after, each line marked."""
    lines = list(change_lines([Change("prompts.q.text:3", "old\nlines", "new")]))
    assert lines == ["prompts.q.text:3:", "  - old", "  - lines", "  + new"]


def test_lines_of_a_value_cannot_look_like_another_problem(capsys):
    """What an owner wrote stands below its label, however many lines it has."""
    contact = OwnerContact("a\nerror[INTERNAL] b", "c", "d\nerror[INTERNAL] e")
    print_problem(replace(problem("USAGE", "it"), contact=contact, hint="x\nerror[X] y"))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == ["error[USAGE] it"]


def test_names_stay_in_their_row():
    """A line break in a name is shown, and adds no row to a table."""
    lines = table(("name",), [("a\nb\x1b[2J",)], frozenset())
    assert lines == ["name", "a\\nb\\x1b[2J"]
    assert printable_line("a\nb") == "a\\nb"


def test_json_for_a_terminal_is_json_still(capsys):
    """What steers a terminal is escaped, and so is half a character; the value is the same."""
    value = {"a\x9b": "\x1b[2J\u202e\ud800 größe 日本 🍲"}
    text = json_text(value, indent=2)
    assert json.loads(text) == value
    assert all(item.isprintable() or item == "\n" for item in text)
    print_json(value)
    print_problems_json([problem("USAGE", "\x1b[2J\udcff")])
    out, err = capsys.readouterr()
    assert json.loads(out) == value
    assert "\x1b" not in err
