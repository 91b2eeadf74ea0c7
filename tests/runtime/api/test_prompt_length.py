"""When a prompt is counted before the engine is asked."""

import dataclasses
import json

import pytest

from mealkit.errors import EngineError, RequestError
from mealkit.runtime.api.prompt_length import length_check_of
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
    """Of an engine that would shorten the answer, all but short texts in ASCII are counted."""
    served = dataclasses.replace(
        offer(),
        shortens_answers=traits_of(engine).shortens_answers,
        hyperparameters={"max_length": limit},
    )
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 16}
    assert (length_check_of(served, body, "messages") is not None) is is_counted


def test_what_was_counted_decides(offer):
    """A prompt and its answer may fill the context, and no token more."""
    kit = dataclasses.replace(offer(), shortens_answers=True, hyperparameters={"max_length": 100})
    check = length_check_of(kit, {"model": "m", "prompt": "x", "max_tokens": 40}, "prompt")
    assert check is not None
    check.require(b'{"count": 60}')
    with pytest.raises(RequestError, match="REQUEST_TOO_LONG") as caught:
        check.require(b'{"count": 61}')
    assert caught.value.problems[0].where == "prompt"


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"null", b"\xff"])
def test_a_worker_that_does_not_count_is_at_fault(offer, answer):
    """Its answer is no reason to refuse the caller."""
    kit = dataclasses.replace(offer(), shortens_answers=True, hyperparameters={"max_length": 100})
    check = length_check_of(kit, {"model": "m", "prompt": "x", "max_tokens": 40}, "prompt")
    assert check is not None
    with pytest.raises(EngineError, match="ENGINE_ANSWER"):
        check.require(answer)


def test_tools_are_counted_with_the_messages(offer):
    """They are part of the prompt, though not of its text."""
    kit = dataclasses.replace(offer(), shortens_answers=True, hyperparameters={"max_length": TIGHT})
    body = {"model": "m", "messages": [], "tools": ["t"], "seed": 1, "max_tokens": 1}
    check = length_check_of(kit, body, "messages")
    assert check is not None
    assert json.loads(check.body) == {"model": "m", "messages": [], "tools": ["t"]}
