"""The events of a streamed response, made of those of a streamed chat."""

import json

import pytest

from mealkit.errors import EngineError
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES
from mealkit.worker.event_stream import DONE

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
BEGIN = ["response.created", "response.in_progress"]
TEXT = ["response.output_item.added", "response.content_part.added"]
TEXT_END = [
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
DELTA = "response.output_text.delta"
CALL, CALL_END = (
    ["response.output_item.added", "response.function_call_arguments.delta"],
    ["response.function_call_arguments.done", "response.output_item.done"],
)


def chunk(delta, reason=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
    return data({"choices": [choice]})


def data(form):
    return b"data: " + json.dumps(form).encode() + b"\n\n"


def call(number, name=None, arguments=""):
    fields = {"id": f"call_{number}", "type": "function"} if name else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{"index": number, **fields, "function": function}]}


ROLE = chunk({"role": "assistant", "content": ""})
LAST = data({"choices": [], "usage": USAGE})


@pytest.fixture
def stream(offer):
    """The form of a stream."""
    served = offer(features=frozenset(Feature))
    values = {"model": "stand-in", "input": "hi", "stream": True}
    return RESPONSES.prepare(values, served).stream_form()


def events_of(written):
    """Return the events; each has its type in both places."""
    found = []
    for event in written.split(b"\n\n")[:-1]:
        kind, content = event.split(b"\n")
        found.append(json.loads(content.removeprefix(b"data: ")))
        assert kind.decode() == f"event: {found[-1]['type']}"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def kinds(events):
    return [event["type"] for event in events]


def test_a_text(stream):
    """Begin, the item, its part, the pieces, the whole text, and the response with the usage."""
    written = stream.take(ROLE + chunk({"content": "he"}))
    assert written.endswith(b"\n\n")
    written += stream.take(chunk({"content": "llo"}))
    written += stream.take(chunk({}, "stop") + LAST + DONE)
    events = events_of(written)
    assert kinds(events) == [*BEGIN, *TEXT, DELTA, DELTA, *TEXT_END, "response.completed"]
    assert [event["delta"] for event in events if event["type"] == DELTA] == ["he", "llo"]
    added, done = events[2]["item"], events[-2]["item"]
    assert (added["status"], added["content"]) == ("in_progress", [])
    assert (done["status"], done["content"][0]["text"]) == ("completed", "hello")
    assert {event["item_id"] for event in events if "item_id" in event} == {done["id"]}
    assert (events[0]["response"]["status"], events[0]["response"]["output"]) == ("in_progress", [])
    last = events[-1]["response"]
    assert last["id"] == events[0]["response"]["id"]
    assert (last["status"], last["output"]) == ("completed", [done])
    assert last["usage"]["total_tokens"] == 10


def test_calls_after_a_text(stream):
    """Each item ends before the next one begins; arguments may come in pieces."""
    chunks = [
        ROLE,
        chunk({"content": "hm"}),
        chunk(call(0, "f", '{"a"')),
        chunk(call(0, None, ":1}")),
        chunk(call(1, "g", "{}")),
        chunk({}, "tool_calls"),
        LAST + DONE,
    ]
    events = events_of(b"".join(map(stream.take, chunks)))
    delta = CALL[1]
    calls = [*CALL, delta, *CALL_END, *CALL, *CALL_END]
    assert kinds(events) == [*BEGIN, *TEXT, DELTA, *TEXT_END, *calls, "response.completed"]
    places = [event["output_index"] for event in events if event["type"] == CALL[0]]
    assert places == [0, 1, 2]
    output = events[-1]["response"]["output"]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[1:]] == [
        ("call_0", "f", '{"a":1}'),
        ("call_1", "g", "{}"),
    ]


def test_a_text_after_a_call(stream):
    """A text after a call is another item."""
    chunks = [chunk(call(0, "f")), chunk({"content": "x"}), chunk({}, "stop"), DONE]
    events = events_of(b"".join(map(stream.take, chunks)))
    assert [item["type"] for item in events[-1]["response"]["output"]] == [
        "function_call",
        "message",
    ]


def test_incomplete(stream):
    """A stream that is cut ends with an event of its own, and its last item is incomplete."""
    events = events_of(stream.take(chunk({"content": "x"}, "length") + LAST + DONE))
    assert kinds(events)[-2:] == ["response.output_item.done", "response.incomplete"]
    assert events[-2]["item"]["status"] == "incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_an_empty_text(stream):
    """An answer without any token is an item with an empty text, as in a whole answer."""
    events = events_of(stream.take(ROLE + chunk({}, "stop") + LAST + DONE))
    assert kinds(events) == [*BEGIN, *TEXT, *TEXT_END, "response.completed"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_likelihoods(stream):
    """Log probabilities come with each piece, and all of them with the whole text."""
    token = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    piece = chunk({"content": "x"}, logprobs={"content": [token]})
    events = events_of(stream.take(piece + piece + chunk({}, "stop") + DONE))
    assert [event["logprobs"] for event in events if event["type"] == DELTA] == [[token]] * 2
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [token] * 2


def test_a_failure(stream):
    """A failure is an error event and a failed response, whatever had come before."""
    error = {"message": "no memory", "code": "ENGINE_OUT_OF_MEMORY", "type": "server_error"}
    written = stream.take(chunk({"content": "x"})) + stream.fail(error)
    events = events_of(written)
    assert kinds(events)[-2:] == ["error", "response.failed"]
    assert events[-2]["error"] == error
    assert (events[-2]["code"], events[-2]["message"]) == (error["code"], error["message"])
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"]["message"] == error["message"]


def test_a_failure_before_the_first_event(stream):
    """A stream that fails while it waits still begins with the response."""
    events = events_of(stream.fail({"message": "no memory"}))
    assert kinds(events) == [*BEGIN, "error", "response.failed"]


@pytest.mark.parametrize(
    "event",
    [b"data: no JSON\n\n", b"data: 3\n\n", b"data: {}\n\n", data({"choices": [{}]})],
)
def test_other_events(stream, event):
    """An event that is not one of a chat is the engine's fault."""
    with pytest.raises(EngineError, match="not one of a chat"):
        stream.take(event)


def test_comments(stream):
    """Lines that are not data are not passed on."""
    assert stream.take(b": keep-alive\n\n") == b""
