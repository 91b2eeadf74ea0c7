"""Answers name the recipe where OpenAI's clients look for it."""

import json

import pytest

from mealkit.digest import Digest
from mealkit.runtime.gateway.fingerprint import Fingerprint

MARK = Fingerprint(Digest("sha256:" + "ab" * 32))
NAME = "fp_abababababab"
# What a model may write, to look like a field.
SLY = {"content": '{"system_fingerprint": null, "x": 1}\n\ndata: {'}


@pytest.mark.parametrize(
    "own", [{}, {"system_fingerprint": None}, {"system_fingerprint": "vllm-0.33-abc"}]
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_fingerprint_is_the_recipes(own, separators):
    """Once, whatever the engine says of itself, and the answer's texts are left as they are."""
    for form in ({"id": "a", **own, "choices": [SLY]}, {"id": "a", "choices": [SLY], **own}):
        text = json.dumps(form, separators=separators).encode()
        expected = {"id": "a", "choices": [SLY], "system_fingerprint": NAME}
        whole = MARK.of_whole(text)
        assert json.loads(whole) == expected
        assert whole.count(b'"system_fingerprint"') == 1
        events = MARK.of_events(b"data: %b\n\ndata: %b\n\ndata: [DONE]\n\n" % (text, text))
        *chunks, last, rest = events.split(b"\n\n")
        assert (last, rest) == (b"data: [DONE]", b"")
        assert [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks] == [expected] * 2


def test_every_answer_has_it(start, make_api_lock):
    """Whole, as a stream, and of a completion; it is the short form of the header's digest."""
    kit = start(make_api_lock()).wait_ready()
    whole = kit.chat("hello")
    expected = "fp_" + whole.headers["X-Mealkit-Recipe"].removeprefix("sha256:")[:12]
    assert whole.json()["system_fingerprint"] == expected
    completed = kit.post("/v1/completions", prompt="hello")
    assert completed.json()["system_fingerprint"] == expected
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *events, _done, _rest = kit.chat("hello world", **options).text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert len(chunks) > 1
    assert {chunk["system_fingerprint"] for chunk in chunks} == {expected}
