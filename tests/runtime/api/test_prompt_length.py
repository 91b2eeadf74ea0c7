"""When a prompt is counted before the engine is asked."""

import dataclasses
import json

import pytest

from mealkit.errors import EngineError, RequestError
from mealkit.runtime.api.prompt_length import length_check_of
from mealkit.runtime.api.reading import body_of
from mealkit.runtime.engine_traits import traits_of

ROOMY, TIGHT = 8192, 512


@pytest.mark.parametrize(
    ("engine", "limit", "text", "is_counted"),
    [
        ("vllm", ROOMY, "short", False),
        ("vllm", ROOMY, "x" * ROOMY, True),
        ("vllm", TIGHT, "short", True),
        # Three bytes, which NFKC makes eighteen characters.
        ("vllm", ROOMY, "\ufdfa", True),
        ("onnx", TIGHT, "x" * ROOMY, False),
    ],
)
def test_what_surely_fits_is_not_counted(offer, engine, limit, text, is_counted):
    """Of an engine that requires a fitting number, all but short texts in ASCII are counted."""
    served = dataclasses.replace(
        offer(),
        requires_room=traits_of(engine).requires_room,
        hyperparameters={"max_length": limit},
    )
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 16}
    assert (length_check_of(served, body, "messages") is not None) is is_counted


def test_what_was_counted_decides(offer):
    """An answer may fill the context, and a prompt that leaves no token of it is refused."""
    kit = dataclasses.replace(offer(), requires_room=True, hyperparameters={"max_length": 100})
    body = {"model": "m", "prompt": "x", "max_tokens": 40}
    check = length_check_of(kit, body, "prompt")
    assert check is not None
    sent = body_of(body)
    for count, room in ((59, 40), (60, 40), (61, 39), (99, 1)):
        fitted = check.fitted(sent, b'{"count": %d}' % count)
        assert json.loads(fitted) == {**body, "max_tokens": room}
    with pytest.raises(RequestError, match="maximum context length is 100 tokens") as caught:
        check.fitted(sent, b'{"count": 100}')
    assert caught.value.problems[0].where == "prompt"


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"null", b"\xff"])
def test_a_worker_that_does_not_count_is_at_fault(offer, answer):
    """Its answer is no reason to refuse the caller."""
    kit = dataclasses.replace(offer(), requires_room=True, hyperparameters={"max_length": 100})
    check = length_check_of(kit, {"model": "m", "prompt": "x", "max_tokens": 40}, "prompt")
    assert check is not None
    with pytest.raises(EngineError, match="ENGINE_ANSWER"):
        check.fitted(b"{}", answer)


def test_tools_are_counted_with_the_messages(offer):
    """They are part of the prompt, though not of its text."""
    kit = dataclasses.replace(offer(), requires_room=True, hyperparameters={"max_length": TIGHT})
    body = {"model": "m", "messages": [], "tools": ["t"], "seed": 1, "max_tokens": 1}
    check = length_check_of(kit, body, "messages")
    assert check is not None
    assert json.loads(check.body) == {"model": "m", "messages": [], "tools": ["t"]}
