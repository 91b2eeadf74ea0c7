"""What vLLM's server says in its error answers, as vLLM 0.33 writes them."""

import json

import pytest

from mealkit.engines.vllm.traits import TRAITS
from mealkit.runtime.worker_client.engine_errors import problems_of, problems_of_error
from mealkit.runtime.worker_client.pool import WorkerAnswer

# vllm/renderers/params.py, with what VLLMValidationError.__str__ appends (vllm/exceptions.py).
TOKENS = (
    "This model's maximum context length is 4096 tokens. However, your prompt contains at least"
    " 4097 input tokens, which exceeds this limit even without any output tokens. Please reduce"
    " the length of the input prompt. (parameter=input_tokens, value=4097)"
)
CHARACTERS = (
    "This model's maximum context length is 4096 tokens. However, your prompt contains 900000"
    " characters (more than 65536 characters, which is the upper bound for 4096 input tokens)."
    " Please reduce the length of the input prompt. (parameter=input_text, value=900000)"
)
OUTPUT = (
    "max_tokens=9000 cannot be greater than max_model_len=4096. Please request fewer output"
    " tokens. (parameter=max_tokens, value=9000)"
)
# vllm/entrypoints/serve/utils/api_utils.py
LENGTH = "Input length (5000) exceeds model's maximum context length (4096)."
# vLLM before 0.12, and OpenAI's own
OLDER = (
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 5017"
    " tokens. Please reduce the length of the messages."
)


def answer(message, status=400, kind="BadRequestError"):
    error = {"message": message, "type": kind, "param": None, "code": status}
    return WorkerAnswer(status, json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            TOKENS,
            "the input has at least 4097 tokens, but this model's maximum context length is 4096",
        ),
        (CHARACTERS, "the input has 900000 characters, but this model's maximum context"),
        (OUTPUT, "max_tokens is 9000, the limit is 4096 tokens"),
        (LENGTH, "the input has 5000 tokens, but this model's maximum context length is 4096"),
        (OLDER, "the input has 5017 tokens, but this model's maximum context length is 4096"),
    ],
)
def test_overlong_has_the_numbers(message, said):
    """What vLLM says of an overlong request is the caller's, with the count and the limit."""
    (found,) = problems_of(answer(message), TRAITS)
    assert (found.code, found.owner) == ("REQUEST_TOO_LONG", "caller")
    assert found.message.startswith(said)


DEAD = (
    "The server had an error while processing your request.",
    "EngineCore encountered an issue. See stack trace (above) for the root cause.",
)


@pytest.mark.parametrize("message", DEAD)
def test_a_dead_engine_is_known_by_its_words(message):
    """In an answer, and within a stream, where the status stands in the event."""
    (found,) = problems_of(answer(message, 500, "InternalServerError"), TRAITS)
    assert (found.code, found.owner) == ("ENGINE_DIED", "kit-author")
    event = {"error": {"message": message, "type": "InternalServerError", "code": 500}}
    assert problems_of_error(event, 200, TRAITS)[0].code == "ENGINE_DIED"


def test_what_it_does_not_explain_goes_by_its_status():
    """The words are known, and nothing is guessed from others."""
    (found,) = problems_of(answer("Invalid grammar specification."), TRAITS)
    assert (found.code, found.owner) == ("REQUEST_INVALID", "caller")
    assert problems_of(answer(DEAD[0], 400), TRAITS)[0].code == "REQUEST_INVALID"


def test_copies_without_chance_are_refused_by_name():
    """vLLM 0.32 computes one answer at temperature 0, where other engines repeat it."""
    (found,) = problems_of(answer("n must be 1 when using greedy sampling, got 2."), TRAITS)
    assert (found.code, found.owner, found.where) == ("REQUEST_INVALID", "caller", "n")
    assert "n is 2" in found.message
