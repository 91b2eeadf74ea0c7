"""The messages of a chat: which reach the worker, and at which place the others are refused."""

import pytest

from mealkit.recipe.kit import Feature
from mealkit.runtime.api.chat import CHAT

UNSUPPORTED = "REQUEST_UNSUPPORTED"
ALL = frozenset(Feature)
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def test_messages_pass(offer, ask):
    """Messages of all roles reach the worker as they are."""
    messages = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u", "name": "ann"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "t", "tool_call_id": "c"},
    ]
    assert ask(CHAT, offer(features=ALL), messages=messages)["messages"] == messages


def test_text_parts(offer, ask):
    """Parts of text are joined, because chat templates take text."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    asked = ask(CHAT, offer(), messages=[{"role": "user", "content": parts}])
    assert asked["messages"] == [{"role": "user", "content": "one\ntwo"}]


@pytest.mark.parametrize(
    ("messages", "code", "where"),
    [
        ([], "REQUEST_INVALID", "messages"),
        (None, "REQUEST_INVALID", "messages"),
        ("hello", "REQUEST_INVALID", "messages"),
        ([{"role": "user"}], "REQUEST_INVALID", "messages[0].content"),
        ([{"content": "a"}], "REQUEST_INVALID", "messages[0]"),
        ([{"role": "function", "content": "a"}], "REQUEST_INVALID", "messages[0]"),
        ([{"role": "user", "content": 7}], "REQUEST_INVALID", "messages[0].content"),
        ([{"role": "user", "content": []}], "REQUEST_INVALID", "messages[0].content"),
        ([{"role": "user", "content": "a", "x": 1}], UNSUPPORTED, "messages[0].x"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            UNSUPPORTED,
            "messages[0].content[0]",
        ),
        ([{"role": "tool", "content": "a", "tool_call_id": "c"}], UNSUPPORTED, "messages[0].role"),
        ([{"role": "assistant", "tool_calls": [CALL]}], UNSUPPORTED, "messages[0].tool_calls"),
    ],
)
def test_messages_that_are_refused(offer, ask, messages, code, where):
    """A message that cannot be answered is refused at its place."""
    assert ask(CHAT, offer(), messages=messages) == (code, where)
