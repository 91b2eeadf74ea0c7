"""Error answers of workers, in mealkit's shape and in vLLM's, as vLLM 0.33 writes them."""

import json

import pytest

from mealkit.engines.vllm.traits import TRAITS
from mealkit.errors import failure
from mealkit.runtime.worker_client.engine_errors import problem_of, problem_of_error
from mealkit.runtime.worker_client.pool import WorkerAnswer
from mealkit.worker.openai_errors import error_answer

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


def vllm_answer(message, status=400, kind="BadRequestError", param=None):
    error = {"message": message, "type": kind, "param": param, "code": status}
    return WorkerAnswer(status, json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (TOKENS, "the input has at least 4097 tokens, the limit is 4096"),
        (CHARACTERS, "the input has 900000 characters, more than the limit of 4096 tokens"),
        (OUTPUT, "max_tokens is 9000, the limit is 4096 tokens"),
        (LENGTH, "the input has 5000 tokens, the limit is 4096"),
        (OLDER, "the input has 5017 tokens, the limit is 4096"),
    ],
)
def test_overlong_has_the_numbers(message, said):
    """What vLLM says of an overlong request is the caller's, with the count and the limit."""
    found = problem_of(vllm_answer(message), TRAITS)
    assert (found.code, found.owner) == ("REQUEST_TOO_LONG", "caller")
    assert found.message.startswith(said)


@pytest.mark.parametrize(
    ("answer", "code", "owner"),
    [
        (vllm_answer("Invalid grammar specification."), "REQUEST_INVALID", "caller"),
        (vllm_answer("no such thing", 501, "NotImplementedError"), "REQUEST_UNSUPPORTED", "caller"),
        (vllm_answer("full", 503, "ServiceUnavailableError"), "REQUEST_BUSY", "caller"),
        (
            vllm_answer(
                "The server had an error while processing your request.", 500, "InternalServerError"
            ),
            "ENGINE_DIED",
            "kit-author",
        ),
        (
            vllm_answer(
                "EngineCore encountered an issue. See stack trace (above) for the root cause.",
                500,
                "InternalServerError",
            ),
            "ENGINE_DIED",
            "kit-author",
        ),
        (vllm_answer("CUDA error", 500, "InternalServerError"), "ENGINE_ANSWER", "kit-author"),
        (vllm_answer("The model `x` does not exist.", 404), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(500, b"Internal Server Error"), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(502, b"[]"), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(500, b'{"error": {"message": 3}}'), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(500, b"[" * 100_000), "ENGINE_ANSWER", "kit-author"),
    ],
)
def test_other_answers(answer, code, owner):
    """A status decides what no message explains; what cannot be read is the engine's fault."""
    found = problem_of(answer, TRAITS)
    assert (found.code, found.owner) == (code, owner)


def test_mealkits_own_workers():
    """A problem that one of mealkit's own workers states stays what it is."""
    error = failure("REQUEST_TOO_LONG", "input[0] has 17 tokens, the limit is 16", where="input[0]")
    assert problem_of(WorkerAnswer(*error_answer(error)), TRAITS) == error.problems[0]


def test_errors_within_a_stream():
    """Within a stream the status stands in the event, as the answer's own is 200 already."""
    dead = "The server had an error while processing your request."
    event = {"error": {"message": dead, "type": "InternalServerError", "code": 500}}
    assert problem_of_error(event, 200, TRAITS).code == "ENGINE_DIED"
    event = {"error": {"message": "Invalid grammar specification.", "param": "x", "code": 400}}
    found = problem_of_error(event, 200, TRAITS)
    assert (found.code, found.where) == ("REQUEST_INVALID", "x")


def test_long_messages_are_cut():
    """An engine that repeats the whole request does not make the answer as large."""
    found = problem_of(vllm_answer("x" * 1_000_000), TRAITS)
    assert len(found.message) < 2000
