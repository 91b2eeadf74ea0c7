"""Error answers of workers: mealkit's own problems, and those of servers that answer as OpenAI's."""

import json

import pytest

from mealkit.errors import failure, failures, problem
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.worker_client.engine_errors import problems_of, problems_of_error
from mealkit.runtime.worker_client.pool import WorkerAnswer
from mealkit.worker.openai_errors import error_answer


def server_answer(message, status=400, kind="BadRequestError", param=None):
    error = {"message": message, "type": kind, "param": param, "code": status}
    return WorkerAnswer(status, json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    ("answer", "code", "owner"),
    [
        (server_answer("Invalid grammar specification."), "REQUEST_INVALID", "caller"),
        (
            server_answer("no such thing", 501, "NotImplementedError"),
            "REQUEST_UNSUPPORTED",
            "caller",
        ),
        (server_answer("full", 503, "ServiceUnavailableError"), "REQUEST_BUSY", "caller"),
        (server_answer("CUDA error", 500, "InternalServerError"), "ENGINE_ANSWER", "kit-author"),
        (server_answer("The model `x` does not exist.", 404), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(500, b"Internal Server Error"), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(502, b"[]"), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(500, b'{"error": {"message": 3}}'), "ENGINE_ANSWER", "kit-author"),
        (WorkerAnswer(500, b"[" * 100_000), "ENGINE_ANSWER", "kit-author"),
    ],
)
def test_other_answers(answer, code, owner):
    """A status decides what no message explains; what cannot be read is the engine's fault."""
    (found,) = problems_of(answer, EngineTraits())
    assert (found.code, found.owner) == (code, owner)


def test_mealkits_own_workers():
    """A problem that one of mealkit's own workers states stays what it is."""
    error = failure("REQUEST_TOO_LONG", "input[0] has 17 tokens, the limit is 16", where="input[0]")
    found = problems_of(WorkerAnswer(*error_answer(error)), EngineTraits())
    assert found == list(error.problems)


def test_errors_within_a_stream():
    """Within a stream the status stands in the event, as the answer's own is 200 already."""
    event = {"error": {"message": "Invalid grammar specification.", "param": "x", "code": 400}}
    (found,) = problems_of_error(event, 200, EngineTraits())
    assert (found.code, found.where) == ("REQUEST_INVALID", "x")


def test_long_messages_are_cut():
    """An engine that repeats the whole request does not make the answer as large."""
    (found,) = problems_of(server_answer("x" * 1_000_000), EngineTraits())
    assert len(found.message) < 2000


def test_several_problems_of_one_request():
    """Each stays what it is, up to a number; what else stands among them is left out."""
    many = [
        problem("REQUEST_INVALID", f"number {index}", where=f"input.a{index}")
        for index in range(99)
    ]
    status, body = error_answer(failures(many))
    assert problems_of(WorkerAnswer(status, body), EngineTraits()) == many[:10]
    form = json.loads(body)
    form["error"]["problems"] = [form["error"]["problems"][0], 7, {"code": "NO_SUCH"}, *[None] * 99]
    assert problems_of_error(form, status, EngineTraits()) == many[:1]
    form["error"]["problems"] = "several"
    assert problems_of_error(form, status, EngineTraits()) == many[:1]
