"""When a prompt is counted before the engine is asked."""

import dataclasses

import pytest

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
