"""A registry's own words are shown on one line, whatever they are."""

import pytest

from mealkit.stores.registry.exchange import json_of, words_of


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors": [{"code": "DENIED", "message": "no"}]}', "DENIED: no"),
        (b'{"errors": [{"code": "A"}, {"message": "b"}, {}]}', "A; b;"),
        (b'{"errors": []}', ""),
        (b'{"errors": "x"}', '{"errors": "x"}'),
        (b'{"errors": ["x"]}', '{"errors": ["x"]}'),
        (b"<html>\n\n<b>no</b>", "<html> <b>no</b>"),
        (b"<!doctype html><TITLE lang=en>\nSign in\n</TITLE>", "a web page, 'Sign in'"),
        (b'{"details": "incorrect username or password"}', "incorrect username or password"),
        (b'{"error": "a", "error_description": "expired"}', "expired"),
        (b"a\x1b[2Jb\x00c", "a [2Jb c"),
        (b"\xff", "\ufffd"),
        (b"", ""),
    ],
)
def test_words_are_made_fit_to_print(body, words):
    """By the specification's form, or else as text."""
    assert words_of(body) == words


def test_words_are_bounded():
    """A page of megabytes is not shown, nor an error that long."""
    assert len(words_of(b"x" * 1_000_000)) == 300
    assert len(words_of(b'{"errors": [{"message": "' + b"x" * 100_000 + b'"}]}')) == 300


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}'])
def test_what_is_no_json_is_none(body):
    """It is not an error: registries answer with pages of HTML, too."""
    assert json_of(body) is None
