"""Events of a stream on their way to the caller: passed on byte by byte, except what is ours to say."""

import pytest

from mealkit.errors import EngineError
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.gateway import events as module
from mealkit.runtime.gateway.events import DONE, Events

PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
ERROR = b'data: {"error": {"code": "ENGINE_DIED", "message": "gone", "owner": "platform"}}\n\n'


def feed(data, size, **kinds):
    """Feed a stream in pieces of a size; return what the caller gets, and the events."""
    events = Events(**{"counts": True, "wants_usage": False, "engine": EngineTraits(), **kinds})
    given = b"".join(events.take(data[at : at + size]) for at in range(0, len(data), size))
    return given, events


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_usage_is_taken_out(size):
    """The chunk that counts the tokens is left out, unless it was asked for, however it is cut."""
    stream = PIECE + PIECE + USAGE + DONE
    given, events = feed(stream, size)
    assert (given, events.is_done) == (PIECE + PIECE + DONE, True)
    assert events.usage == {"prompt_tokens": 1, "completion_tokens": 2}
    given, events = feed(stream, size, wants_usage=True)
    assert (given, events.usage["prompt_tokens"]) == (stream, 1)


@pytest.mark.parametrize("size", [1, 1000])
def test_error_ends_the_stream(size):
    """The worker's error is kept apart, and nothing after it is passed on."""
    given, events = feed(PIECE + ERROR + PIECE, size)
    assert given.startswith(PIECE)
    assert ERROR not in given
    (problem,) = events.problems
    assert (problem.code, problem.message) == ("ENGINE_DIED", "gone")
    assert not events.is_done


def test_texts_that_look_like_events():
    """What a model writes is never taken for what the engine says."""
    text = rb'data: {"choices":[{"delta":{"content":"\n\ndata: {\"error\": {\"code\": 1}} \"usage\": {}"}}]}'
    given, events = feed(text + b"\n\n" + DONE, 1000)
    assert (given, events.problems, events.usage) == (text + b"\n\n" + DONE, (), None)


def test_predictions_are_not_read():
    """The output of the paper's code may hold anything."""
    stream = b'data: {"output": {"choices": [], "usage": {"a": 1}}}\n\n' + DONE
    given, events = feed(stream, 1000, counts=False)
    assert (given, events.usage) == (stream, None)


def test_usage_beside_choices():
    """A chunk with both a piece and the tokens is passed on."""
    both = b'data: {"choices":[{"index":0}],"usage":{"prompt_tokens":1}}\n\n'
    given, events = feed(both + DONE, 1000)
    assert (given, events.usage) == (both + DONE, {"prompt_tokens": 1})


def test_event_without_end(monkeypatch):
    """An event that has no end is not kept without end."""
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 100)
    events = Events(counts=True, wants_usage=False, engine=EngineTraits())
    assert events.take(b"data: " + b"x" * 90) == b""
    with pytest.raises(EngineError, match="more than 100 bytes"):
        events.take(b"xxxxx")
