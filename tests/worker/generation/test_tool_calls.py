"""Text and calls are distinguished, whatever the sizes of the pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.worker.generation.tool_calls import ToolReader
from mealkit.worker.generation_values import FunctionCall

parts = some.sampled_from(
    [
        "text",
        " ",
        "\n",
        "<",
        "<tool_call>",
        "</tool_call>",
        '<tool_call>{"name": "f", "arguments": {}}</tool_call>',
        '<tool_call>\n{"name": "f", "arguments": {"x": "</"}}\n</tool_call>',
        '<tool_call>{"name": "g", "arguments": {}}</tool_call>',
    ]
)


def read(pieces, names=("f",)):
    """Return all text, and all calls with how much text had come before each."""
    reader = ToolReader(names)
    text, calls = "", []
    for items in (*(reader.feed(piece) for piece in pieces), reader.end()):
        for item in items:
            if isinstance(item, FunctionCall):
                calls.append((len(text), item))
            else:
                text += item
    assert reader.calls == len(calls)
    return text, calls


@pytest.mark.parametrize(
    ("written", "text", "count"),
    [
        ("<tool_", "", 0),
        ("I call \n<tool_", "I call", 0),
        ("<tool_call>", "", 0),
        ('<tool_call>\n{"name": "f", "argu', "", 0),
        ('<tool_call>\n{"name": "f", "arguments": {}}\n</tool_', "", 1),
        ('<tool_call>{"name": "f", "arguments": {}}</tool_call>\n<to', "", 1),
        ("a < b", "a < b", 0),
        ("a <", "a", 0),
        ("  ", "  ", 0),
    ],
)
def test_a_call_that_is_cut_is_not_text(written, text, count):
    """If max_tokens ends an answer within a call, nothing of the call is left over."""
    reader = ToolReader(["f"])
    items = [*reader.feed(written), *reader.end(is_cut=True)]
    assert "".join(item for item in items if isinstance(item, str)) == text
    assert reader.calls == count


def test_a_number_of_any_size_is_an_argument():
    """JSON allows 1e999; a call with it is a call."""
    _, [(_, call)] = read(['<tool_call>{"name": "f", "arguments": {"x": -1e999}}</tool_call>'])
    assert json.loads(call.arguments)["x"] < -1e300


@given(some.lists(parts, max_size=6), some.data())
def test_pieces_do_not_matter(written, data):
    """Cut anywhere, an answer has the same text and the same calls in the same places."""
    whole = "".join(written)
    cuts = sorted(data.draw(some.lists(some.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(pieces) == read([whole])


@given(some.lists(parts, max_size=6))
def test_nothing_is_lost_of_what_is_no_call(written):
    """With no function that could be called, every character is text."""
    whole = "".join(written)
    assert read([whole], names=[]) == (whole, [])
