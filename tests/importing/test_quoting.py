"""Untrusted text keeps its meaning in the file that it is written to, and gets no other."""

import ast

import pytest
import yaml

from mealkit.importing.quoting import (
    cell,
    code_cell,
    python_text,
    python_texts,
    short,
    yaml_value,
)
from mealkit.kit.document import read_document

TEXTS = [
    *("", "a", "yes", "1.0", "0x1f", "1e3", "null", "~", "- a", "a: b", "# a", "'", '"', "\\"),
    *("a\nb", "\x1b[2J", "\u2028", "\u202e", "\U000e0041", "\0", "é", "🍲", " a ", "{{ a }}"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_back_as_itself(text):
    """By the kit's reader and by Python, on one line of visible characters."""
    written = yaml_value(text)
    document, problems = read_document(f"a: {written}\n", "x")
    assert problems == []
    assert document.data == {"a": text}
    assert ast.literal_eval(python_text(text)) == text
    assert ast.literal_eval(python_texts({text: text})) == {text: text}
    assert (written + python_text(text)).isprintable()


@pytest.mark.parametrize("value", [True, None, 0, 1.5, [1, "a"], {"a": ["b\nc"]}, [], {}])
def test_other_values_keep_their_type(value):
    """In nested ones, a line break does not make a second line."""
    written = yaml_value(value)
    assert yaml.safe_load(written) == value
    assert "\n" not in written


@pytest.mark.parametrize("text", ["1", "0o17", "0x1f", "1_0", ".5", "true", "2024-01-01"])
def test_what_some_reader_takes_for_another_type_is_quoted(text):
    """YAML 1.1 and 1.2 have different numbers."""
    assert yaml_value(text)[0] in "'\""


def test_a_long_text_is_cut_and_put_on_one_line():
    """Messages and tables stay readable."""
    assert short("a\n  b\tc") == "a b c"
    assert short("x" * 500) == "x" * 500
    assert short("x" * 501) == "x" * 500 + "..."


def test_a_cell_of_a_table_adds_no_cell_and_no_markup():
    """Pipes, links, images and HTML are escaped; code ends where it should."""
    assert cell("a|b\n<i>![x](y)") == r"a\|b \<i\>\!\[x\](y)"
    assert code_cell("a`b|c\n") == r"`a'b\|c`"
