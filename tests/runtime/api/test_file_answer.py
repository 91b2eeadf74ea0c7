"""Which of JSON and a file a caller wants, and the file in an answer."""

import json

import pytest

from mealkit.runtime.api.file_answer import Accepted, FileAnswer, file_of, gives_file

MARK = {"type": "string", "x-file": True}


@pytest.mark.parametrize(
    ("header", "kind", "quality"),
    [
        ("", "a/b", 1.0),
        ("a/b", "a/b", 1.0),
        ("A/B;q=0.5", "a/b", 0.5),
        ("a/*;q=0.5, */*;q=0.1, a/b;q=0.7", "a/b", 0.7),
        ("a/*;q=0.5, */*;q=0.1", "a/c", 0.5),
        ("a/*;q=0.5, */*;q=0.1", "c/d", 0.1),
        ("a/b; x=1; q=0", "a/b", 0.0),
        ("a/b", "c/d", 0.0),
        ("a/b;q=7", "a/b", 1.0),
        (",,;,a,*/b," * 9999, "a/b", 1.0),
        ("x/y," * 100 + "a/b", "a/b", 0.0),
    ],
    ids=range(11),
)
def test_quality(header, kind, quality):
    """The most specific range counts; what is none is ignored, as is what is far too long."""
    assert Accepted.of(header).quality(kind) == quality


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("data:image/PNG;base64,YWJj", FileAnswer("image/png", b"abc")),
        ("data:image/png;base64,?", None),
        ("data:image/png,abc", None),
        ("data:image/png\r\nx: y;base64,YWJj", None),
        ("https://elsewhere.example/", None),
        (["data:image/png;base64,YWJj"], None),
        (None, None),
    ],
)
def test_the_file_in_an_answer(output, found):
    """Only one that is whole, of a type that is one."""
    assert file_of(json.dumps({"output": output}).encode()) == found


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (MARK, True),
        ({"anyOf": [MARK, {"type": "null"}]}, True),
        ({"type": "string", "format": "uri"}, False),
        ({"type": "array", "items": MARK}, False),
        ({"anyOf": 7}, False),
        (True, False),
    ],
)
def test_which_kits_give_a_file(output, found):
    """Those whose code returns one, and not several or none."""
    assert gives_file({"output": output}) is found
    assert gives_file(None) is False
