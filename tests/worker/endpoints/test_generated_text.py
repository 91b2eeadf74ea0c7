"""Answers in OpenAI's shapes, whole or as a stream."""

import json

import pytest
from worker.endpoints.asking import CALL, CHAT, COMPLETION, FUNCTION, ask, endpoints

from mealkit.worker.endpoints.request import EndpointCall
from mealkit.worker.interface import Cancelled


def test_a_chat_has_openais_shape():
    """Whole, with likelihoods, and exactly these fields."""
    answer = ask({**CHAT, "logprobs": True, "top_logprobs": 1}, b"\xc3", b"\xa4!")
    answer["choices"][0]["logprobs"]["content"] = [
        {**item, "logprob": 0, "top_logprobs": [{**other, "logprob": 0} for other in item["top_logprobs"]]}
        for item in answer["choices"][0]["logprobs"]["content"]
    ]  # fmt: skip
    tokens = [{"token": "\ufffd", "logprob": 0, "bytes": [195]}, {"token": "\ufffd!", "logprob": 0, "bytes": [164, 33]}]  # fmt: skip
    assert answer == {
        "id": answer["id"],
        "object": "chat.completion",
        "created": answer["created"],
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ä!", "refusal": None},
                "logprobs": {
                    "content": [{**token, "top_logprobs": [token]} for token in tokens],
                    "refusal": None,
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 13, "completion_tokens": 3, "total_tokens": 16},
    }


def test_a_stream_of_a_chat_has_openais_shape():
    """Who speaks, each piece, why it ended, the usage."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = ask({**CHAT, **options}, b"a", b"b")
    common = {
        "id": chunks[0]["id"],
        "object": "chat.completion.chunk",
        "created": chunks[0]["created"],
        "model": "m",
    }

    def chunk(delta, reason=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**common, "choices": [choice]}

    usage = {"prompt_tokens": 13, "completion_tokens": 3, "total_tokens": 16}
    assert chunks == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk({}, "stop"),
        {**common, "choices": [], "usage": usage},
    ]
    assert ask({**CHAT, "stream": True}, b"a", b"b")[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_completion_has_openais_shape():
    """Whole or in chunks, text_offset counts the characters of the tokens before."""
    likelihoods = {**COMPLETION, "logprobs": 0}
    answer = ask(likelihoods, b"ab", b"c")
    (choice,) = answer["choices"]
    logprobs = choice["logprobs"]
    assert (answer["object"], choice["text"], choice["index"]) == ("text_completion", "abc", 0)
    assert (logprobs["tokens"], logprobs["text_offset"]) == (["ab", "c"], [0, 2])
    assert [list(item) for item in logprobs["top_logprobs"]] == [["ab"], ["c"]]
    assert [list(item.values()) for item in logprobs["top_logprobs"]] == [
        [number] for number in logprobs["token_logprobs"]
    ]
    chunks = ask({**likelihoods, "stream": True}, b"ab", b"c")
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["ab", "c", ""]
    offsets = [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks]
    assert offsets == [[0], [2], []]


def test_calls_of_tools_have_openais_shape():
    """Whole or in chunks, a call has an id, a name, and its arguments as JSON."""
    asked = {**CHAT, "tools": [FUNCTION]}
    (choice,) = ask(asked, CALL)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call.pop("id").startswith("call_")
    function = {"name": "f", "arguments": '{"x": "ä"}'}
    assert call == {"type": "function", "function": function}
    chunks = ask({**asked, "stream": True}, b"hm", CALL, CALL)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [(call["index"], call["function"]) for call in calls] == [(0, function), (1, function)]
    assert len({call["id"] for call in calls}) == 2
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("asked", [CHAT, COMPLETION])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", [0, 1, 3, 12])
def test_nobody_gets_half_an_answer(asked, stream, after):
    """When the caller goes there is no answer, and no stream that looks whole."""
    questions = iter([False] * after)
    with pytest.raises(Cancelled):
        ask(
            {**asked, "n": 3, "stream": stream},
            *[b"a", b"b", b"c"],
            is_cancelled=lambda: next(questions, True),
        )


def test_a_stream_that_is_closed_frees_the_model():
    """Closing the stream, as the server does when the peer goes, ends what makes it."""
    model, served = endpoints(b"a", b"b", b"c")
    body = json.dumps({**CHAT, "stream": True}).encode()
    first = served["POST /v1/chat/completions"](EndpointCall(body, lambda: False))
    assert b"assistant" in next(first)
    first.close()
    second = served["POST /v1/chat/completions"](
        EndpointCall(json.dumps(CHAT).encode(), lambda: False)
    )
    assert json.loads(second)["choices"][0]["message"]["content"] == "abc"
    assert len(model.prompts) == 2
