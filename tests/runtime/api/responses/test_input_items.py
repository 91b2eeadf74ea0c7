"""The input of a response, as messages."""

import pytest

from mealkit.recipe.kit import Feature
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES

USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OTHER_CALL = {
    **CALL,
    "call_id": "call_2",
    "arguments": '{"a":1}',
    "id": "fc_2",
    "status": "completed",
}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "3"}
ANSWER = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}],
}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}


def called(*calls):
    return [
        {"id": name, "type": "function", "function": {"name": "f", "arguments": arguments}}
        for name, arguments in calls
    ]


ONE, TWO = ("call_1", "{}"), ("call_2", '{"a":1}')


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        ({"input": "hi"}, [USER]),
        ({"input": [USER]}, [USER]),
        (
            {"input": "hi", "instructions": "Be brief."},
            [{"role": "system", "content": "Be brief."}, USER],
        ),
        (
            {"input": [{**USER, "type": "message", "content": [
                {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"},
            ]}]},
            [{"role": "user", "content": "a\nb"}],
        ),
        (
            {"input": [USER, ANSWER, USER]},
            [USER, {"role": "assistant", "content": "hello"}, USER],
        ),
        (
            {"input": [USER, CALL, RESULT]},
            [
                USER,
                {"role": "assistant", "tool_calls": called(ONE)},
                {"role": "tool", "tool_call_id": "call_1", "content": "3"},
            ],
        ),
        # What one answer had is one message, in whichever order.
        (
            {"input": [USER, REASONING, ANSWER, CALL, OTHER_CALL]},
            [USER, {"role": "assistant", "content": "hello", "tool_calls": called(ONE, TWO)}],
        ),
        (
            {"input": [USER, CALL, ANSWER]},
            [USER, {"role": "assistant", "content": "hello", "tool_calls": called(ONE)}],
        ),
        (
            {"input": [USER, ANSWER, ANSWER]},
            [USER, *[{"role": "assistant", "content": "hello"}] * 2],
        ),
        (
            {"input": [USER, CALL, {**RESULT, "output": [{"type": "input_text", "text": "3"}]}]},
            [
                USER,
                {"role": "assistant", "tool_calls": called(ONE)},
                {"role": "tool", "tool_call_id": "call_1", "content": "3"},
            ],
        ),
        # As answers of OpenAI are, and with all fields of a client's classes.
        (
            {"input": [
                {**USER, "type": None, "name": None},
                {**CALL, "caller": {"type": "direct"}, "namespace": None, "arguments": None},
                {**RESULT, "output": [], "caller": None},
                {**ANSWER, "content": []},
            ]},
            [
                USER,
                {"role": "assistant", "tool_calls": [
                    {**call, "function": {**call["function"], "arguments": "{}"}}
                    for call in called(ONE)
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": ""},
                {"role": "assistant", "content": ""},
            ],
        ),
    ],
)  # fmt: skip
def test_messages(offer, ask, values, messages):
    """Items become the messages that a chat would have."""
    asked = ask(RESPONSES, offer(features=frozenset(Feature)), **values)
    assert isinstance(asked, dict), asked
    assert asked["messages"] == messages


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], ("REQUEST_INVALID", "input")),
        ([REASONING], ("REQUEST_INVALID", "input")),
        ([USER, {"type": "item_reference", "id": "msg_1"}], ("REQUEST_UNSUPPORTED", "input[1]")),
        ([{"type": "web_search_call", "id": "ws_1"}], ("REQUEST_UNSUPPORTED", "input[0]")),
        (
            [{**USER, "content": [{"type": "input_image", "image_url": "data:"}]}],
            ("REQUEST_UNSUPPORTED", "input[0].content[0]"),
        ),
        (
            [{**RESULT, "output": [{"type": "input_file", "file_id": "f"}]}],
            ("REQUEST_UNSUPPORTED", "input[0].output[0]"),
        ),
        ([{**USER, "role": "tool"}], ("REQUEST_INVALID", "input[0].role")),
        ([USER, {"role": "user"}], ("REQUEST_INVALID", "input[1].content")),
        ([USER, {"role": "user", "content": []}], ("REQUEST_INVALID", "input[1].content")),
        ([{**CALL, "namespace": "crm"}], ("REQUEST_UNSUPPORTED", "input[0].namespace")),
        ([{**USER, "extra": 1}], ("REQUEST_UNSUPPORTED", "input[0].extra")),
        ([3], ("REQUEST_INVALID", "input[0]")),
        (3, ("REQUEST_INVALID", "input")),
    ],
)
def test_refused_items(offer, ask, items, expected):
    """Items that a kit cannot honour are refused with their place."""
    assert ask(RESPONSES, offer(features=frozenset(Feature)), input=items) == expected
